"""One self-contained HTML page about a run: it needs no network, no script and no other file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from noisekit.errors import BadValue
from noisekit.report import plots
from noisekit.report.figure import looks
from noisekit.report.pictures import grid
from noisekit.report.source import ReportedRun
from noisekit.report.tables import DAGGER, Line, breakdown, ranking


def write_report(run: ReportedRun, path: str | Path) -> Path:
    """Write the page of a run to `path` and return it. Raises `BadValue` where it cannot be written."""
    target = Path(path)
    text = render(run)
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        reason = error.strerror or error
        raise BadValue(f"report {str(target)!r} cannot be written ({reason}); give another path") from error
    return target


def render(run: ReportedRun) -> str:
    """The page as text."""
    here = files("noisekit.report")
    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    template = environment.from_string((here / "page.html").read_text(encoding="utf-8"))
    style = (here / "page.css").read_text(encoding="utf-8")
    return template.render(style=Markup(style), dagger=DAGGER, **_content(run))


def _content(run: ReportedRun) -> dict[str, Any]:
    frame, traces, ranked = run.frame(), run.traces(), ranking(run)
    models, metrics = ranked.models, ranked.metrics
    styles = looks([line.label for line in ranked.lines])
    searched = [line for line in ranked.lines if not line.is_standard]
    return {
        "models": models,
        "metrics": metrics,
        "held_out": ranked.held_out,
        "counts": {name: frame[name].nunique() for name in ("prompt", "seed")} | {"image": len(frame)},
        "findings": [line for line in searched if metrics and line.comparisons[metrics[0]].verdict != "none"],
        "standards": {line.model: line for line in ranked.lines if line.is_standard},
        "methods": _methods(run, ranked.lines),
        "breakdown": breakdown(frame, ranked.lines),
        "difference_plots": _drawn((m, plots.differences(own, metrics, styles)) for m, own in models.items()),
        "cost_plots": _drawn((m, plots.cost(models, m, styles)) for m in ranked.held_out or metrics),
        "search_plots": _drawn((m, plots.search(traces, own, styles)) for m, own in models.items()),
        "gaming_plots": _drawn(
            (f"{line.label} on {line.model}", plots.gaming(traces, line, metrics, styles))
            for line in searched
            if run.optimised(line.method)
        ),
        "grids": {model: (own, grid(frame, own, run.folder)) for model, own in models.items()},
        "facts": facts(run.manifest),
        "folder": run.folder,
    }


def _drawn(figures: Any) -> dict[str, Markup]:
    """Titles and figures, those with nothing in them left out; SVG made here is the only markup let through."""
    return {title: Markup(svg) for title, svg in figures if svg}


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


def facts(manifest: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """A manifest as (name, value) pairs, nested names joined by a blank; empty values are left out."""
    pairs: list[tuple[str, str]] = []
    for key, value in manifest.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            pairs += facts(value, f"{name} ")
        elif isinstance(value, list | tuple):
            pairs.append((name, ", ".join(map(str, value))))
        elif value is not None:
            pairs.append((name, str(value)))
    return pairs
