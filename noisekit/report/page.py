"""One self-contained HTML page about a run: it needs no network and no other file, and is read without its script too.

It begins with what can be told and the pictures, then what to use for a budget, then the tables, folded. Thumbnails are
inside; the images themselves are linked where they lie, in the run's folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from noisekit.errors import BadValue
from noisekit.files import write_whole
from noisekit.metrics.info import families
from noisekit.output import output_file
from noisekit.paths import given_path
from noisekit.report.categories import categories
from noisekit.report.chart import CANVAS, charts, metrics_to_weigh
from noisekit.report.claims import claims, strengths
from noisekit.report.correlation import correlation_table
from noisekit.report.failures import failures
from noisekit.report.figure import MARKS, Look, looks
from noisekit.report.first.gallery import gallery
from noisekit.report.first.telling import RULE
from noisekit.report.first.verdicts import verdicts
from noisekit.report.leaderboard import leaderboards
from noisekit.report.noise import noise_table
from noisekit.report.parts import breakdown, by_kind
from noisekit.report.paths import paths
from noisekit.report.plots.differences import bars, by_metric
from noisekit.report.plots.noise import noise
from noisekit.report.plots.search import against, by_candidate, search
from noisekit.report.plots.sweeps import sweep
from noisekit.report.provenance import facts, of_methods, of_models, plan
from noisekit.report.published import beside, sources
from noisekit.report.rendering import policy, rendered, script, styles
from noisekit.report.reward_hacking import halves
from noisekit.report.source import ReportedRun
from noisekit.report.sweeps import sweeps
from noisekit.report.tables import Line, Ranking, ranking
from noisekit.report.versus import LEGEND, Versus
from noisekit.report.votes import votes

ENDINGS = (".html", ".htm")


def write_report(run: ReportedRun, path: str | Path, place: Path | None = None) -> Path:
    """Write the page of a run to `path` and return it. Raises `BadValue` where it cannot be written.

    place: the folder from which it finds the images of the run, where that is not its own: a server may show it elsewhere.
    """
    return _write(render(run, place or given_path(path).parent), path)


def write_versus(found: Versus, path: str | Path) -> Path:
    """Write the page of two compared runs. Raises `BadValue` where it cannot be written."""
    page = rendered("versus.html", {"style": styles(), "found": found, "legend": LEGEND})
    return _write(page, path)


def render(run: ReportedRun, place: Path | None = None) -> str:
    """The page as text; place: the folder that it will lie in, by default the run's."""
    about = {"style": styles(), "script": script(), "policy": policy(), "base": _base(run.folder, place)}
    return rendered("page.html", about | _content(run))


def _base(folder: Path, place: Path | None) -> str:
    """How a page at `place` names the folder of its run, with a stroke at the end; "" where it lies in it."""
    if place is None or place.resolve() == folder.resolve():
        return ""
    try:
        return quote(os.path.relpath(folder.resolve(), place.resolve()).replace(os.sep, "/")) + "/"
    except ValueError:  # another drive
        return folder.resolve().as_uri() + "/"


def _write(text: str, path: str | Path) -> Path:
    target = output_file(path, ENDINGS, "report")
    try:
        write_whole(target, text.encode(errors="backslashreplace"))
    except OSError as error:
        reason = error.strerror or error
        raise BadValue(f"report {str(target)!r} cannot be written ({reason}); give another path") from error
    return target


def _content(run: ReportedRun) -> dict[str, Any]:
    frame, ranked = run.frame(), ranking(run)
    infos = run.metric_info
    papers, told = beside(ranked.lines), claims(run, ranked)
    looked = looks([line.label for line in ranked.lines])
    analysis, watched = run.noise_analysis(), paths(run)
    kinds = {
        model: by_kind(frame[frame["model"] == model], own, ranked.truth, run.shared)
        for model, own in ranked.models.items()
    }
    return {
        "models": ranked.models,
        "metrics": ranked.metrics,
        "truth": ranked.truth,
        "counts": {name: frame[name].nunique() for name in ("prompt", "seed")} | {"image": len(frame)},
        "leaderboards": leaderboards(ranked),
        "diverse": any(line.diversity for line in ranked.lines),
        "methods": _methods(run, ranked.lines),
        "claims": told,
        "strengths": strengths(run, ranked),
        "shared": run.shared,
        "categories": categories(run, ranked),
        "sweep_plots": _sweeps(ranked),
        "failures": failures(run.failures(), {line.method: line.label for line in ranked.lines}),
        "votes": votes(run, {line.method: line.label for line in ranked.lines}),
        "verdicts": verdicts(ranked, told),
        "gallery": gallery(run, ranked),
        "rule": RULE,
        "charts": charts(run, ranked, looked, watched),
        "canvas": CANVAS,
        "marks": MARKS,
        "difference_plots": _drawn(
            (m, by_metric(o, ranked.metrics, looked)) for m, o in ranked.models.items()
        ),
        "watched": bool(watched),
        **_searches(run, ranked, looked),
        "breakdown": breakdown(frame, ranked.lines, infos[ranked.truth] if ranked.truth else None),
        "kind_plots": _drawn(
            (model, bars(kinds[model], [line.label for line in own if not line.is_standard], looked))
            for model, own in ranked.models.items()
        ),
        "noise_table": noise_table(frame, ranked.lines),
        "noise_plots": _drawn((m, noise(analysis, own, looked)) for m, own in ranked.models.items()),
        "infos": [infos[metric] for metric in ranked.metrics],
        "families": families(infos[metric] for metric in ranked.metrics),
        "optimisers": _optimisers(ranked),
        "correlations": correlation_table(run.correlations(), ranked.metrics),
        "published": papers,
        "papers": sources(papers),
        "facts": facts(run.manifest),
        "model_facts": of_models(run.settings()),
        "method_facts": of_methods(run.settings()),
        "plan": plan(run),
        "folder": run.folder,
    }


def _searches(run: ReportedRun, ranked: Ranking, looked: Mapping[str, Look]) -> dict[str, Any]:
    """The figures of searches: all of them; those that climb a metric, against the first metric that none of them climbs."""
    traces, infos = run.traces(), [run.metric_info[metric] for metric in ranked.metrics]
    climbing = {
        model: [line for line in own if run.optimised(line.method)] for model, own in ranked.models.items()
    }
    judge = {model: metrics_to_weigh(ranked, model)[:1] for model in ranked.models}
    return {
        "search_plots": _drawn((m, search(traces, own, looked)) for m, own in ranked.models.items()),
        "path_plots": _drawn(
            (m, against(traces, climbing[m], metric, looked)) for m in climbing for metric in judge[m]
        ),
        "halves": {
            model: halves(traces, climbing[model], metric, run.shared)
            for model in climbing
            for metric in judge[model]
        },
        "judge": {model: metric for model, metrics in judge.items() for metric in metrics},
        "candidate_plots": _drawn(
            (f"{line.label} on {model}", by_candidate(traces, line, infos, looked))
            for model, lines in climbing.items()
            for line in lines
        ),
    }


def _sweeps(ranked: Ranking) -> dict[str, dict[str, Markup]]:
    """By model the figures of its sweeps by title; models without any are left out."""
    plots = {
        model: _drawn((one.title, sweep(one, ranked.metrics)) for one in sweeps(own))
        for model, own in ranked.models.items()
    }
    return {model: own for model, own in plots.items() if own}


def _drawn(figures: Iterable[tuple[str, str]]) -> dict[str, Markup]:
    """Titles and figures, those with nothing in them left out; SVG made here is the only markup let through."""
    return {title: Markup(svg) for title, svg in figures if svg}


def _optimisers(ranked: Ranking) -> dict[str, list[str]]:
    """For each metric the methods that optimised it."""
    return {
        metric: list(dict.fromkeys(line.label for line in ranked.lines if line.comparisons[metric].optimised))
        for metric in ranked.metrics
    }


def _methods(run: ReportedRun, lines: Sequence[Line]) -> list[dict[str, str]]:
    return [
        {
            "label": line.label,
            "method": line.method,
            "objective": line.objective,
            "optimised": ", ".join(sorted(run.optimised(line.method))) or "none",
        }
        for line in {line.method: line for line in lines}.values()
    ]
