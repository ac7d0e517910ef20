"""One self-contained HTML page about a run: it needs no network, no script and no other file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from noisekit.errors import BadValue
from noisekit.files import write_whole
from noisekit.metrics.info import families
from noisekit.paths import given_path
from noisekit.report.categories import categories
from noisekit.report.claims import claims, strengths
from noisekit.report.correlation import correlation_table
from noisekit.report.failures import failures
from noisekit.report.figure import Look, looks
from noisekit.report.gaming import halves
from noisekit.report.noise import noise_table
from noisekit.report.parts import breakdown, by_kind
from noisekit.report.paths import paths
from noisekit.report.pictures import AMPLIFIED, grid
from noisekit.report.plots.cost import cost
from noisekit.report.plots.differences import bars, by_metric
from noisekit.report.plots.noise import noise
from noisekit.report.plots.search import against, by_candidate, search
from noisekit.report.plots.sweeps import sweep
from noisekit.report.provenance import facts, of_methods, of_models, plan
from noisekit.report.published import beside, sources
from noisekit.report.source import ReportedRun
from noisekit.report.standing import standings
from noisekit.report.sweeps import sweeps
from noisekit.report.tables import DAGGER, Line, Ranking, ranking
from noisekit.report.versus import LEGEND, Versus
from noisekit.report.votes import votes


def write_report(run: ReportedRun, path: str | Path) -> Path:
    """Write the page of a run to `path` and return it. Raises `BadValue` where it cannot be written."""
    return _write(render(run), path)


def write_versus(found: Versus, path: str | Path) -> Path:
    """Write the page of two compared runs. Raises `BadValue` where it cannot be written."""
    return _write(_page("versus.html", {"found": found, "legend": LEGEND}), path)


def render(run: ReportedRun) -> str:
    """The page as text."""
    return _page("page.html", _content(run))


def _page(template: str, content: Mapping[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader("noisekit.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    style = (files("noisekit.report") / "page.css").read_text(encoding="utf-8")
    marks = {"dagger": DAGGER, "amplified": AMPLIFIED}
    environment.globals |= marks  # macros see these too
    return environment.get_template(template).render(style=Markup(style), **content)


def _write(text: str, path: str | Path) -> Path:
    target = given_path(path)
    try:
        write_whole(target, text.encode(errors="backslashreplace"))
    except OSError as error:
        reason = error.strerror or error
        raise BadValue(f"report {str(target)!r} cannot be written ({reason}); give another path") from error
    return target


def _content(run: ReportedRun) -> dict[str, Any]:
    frame, ranked = run.frame(), ranking(run)
    infos = run.metric_info
    papers = beside(ranked.lines)
    styles = looks([line.label for line in ranked.lines])
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
        "standings": standings(ranked, {name: info.family for name, info in infos.items() if info.family}),
        "diverse": any(line.diversity for line in ranked.lines),
        "methods": _methods(run, ranked.lines),
        "claims": claims(run, ranked),
        "strengths": strengths(run, ranked),
        "shared": run.shared,
        "categories": categories(run, ranked),
        "sweep_plots": _sweeps(ranked),
        "failures": failures(run.failures(), {line.method: line.label for line in ranked.lines}),
        "votes": votes(run, {line.method: line.label for line in ranked.lines}),
        "difference_plots": _drawn(
            (m, by_metric(o, ranked.metrics, styles)) for m, o in ranked.models.items()
        ),
        "cost_plots": _drawn(
            (m, cost(o, _judges(ranked, m), styles, watched)) for m, o in ranked.models.items()
        ),
        "watched": bool(watched),
        **_searches(run, ranked, styles),
        "breakdown": breakdown(frame, ranked.lines, infos[ranked.truth] if ranked.truth else None),
        "kind_plots": _drawn(
            (model, bars(kinds[model], [line.label for line in own if not line.is_standard], styles))
            for model, own in ranked.models.items()
        ),
        "grids": {
            model: (own, grid(frame, own, run.folder, ranked.truth)) for model, own in ranked.models.items()
        },
        "noise_table": noise_table(frame, ranked.lines),
        "noise_plots": _drawn((m, noise(analysis, own, styles)) for m, own in ranked.models.items()),
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


def _searches(run: ReportedRun, ranked: Ranking, styles: Mapping[str, Look]) -> dict[str, Any]:
    """The figures of searches: all of them; those that climb a metric, against the first metric that none of them climbs."""
    traces, infos = run.traces(), [run.metric_info[metric] for metric in ranked.metrics]
    climbing = {
        model: [line for line in own if run.optimised(line.method)] for model, own in ranked.models.items()
    }
    judge = {model: _judges(ranked, model)[:1] for model in ranked.models}
    return {
        "search_plots": _drawn((m, search(traces, own, styles)) for m, own in ranked.models.items()),
        "path_plots": _drawn(
            (m, against(traces, climbing[m], metric, styles)) for m in climbing for metric in judge[m]
        ),
        "halves": {
            model: halves(traces, climbing[model], metric, run.shared)
            for model in climbing
            for metric in judge[model]
        },
        "judge": {model: metric for model, metrics in judge.items() for metric in metrics},
        "candidate_plots": _drawn(
            (f"{line.label} on {model}", by_candidate(traces, line, infos, styles))
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


def _judges(ranked: Ranking, model: str) -> list[str]:
    """The metrics that cost is weighed against: those held out on a model, or all where none is."""
    return ranked.held_out(model) or list(ranked.metrics)


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
