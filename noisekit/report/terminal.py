"""The summary of a run as tables for the terminal: all of it in 100 columns, the core of it in 80."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from noisekit.metrics.info import legend
from noisekit.report.claims import claims
from noisekit.report.screen import Screen
from noisekit.report.source import ReportedRun
from noisekit.report.tables import DAGGER, Comparison, Line, ranking
from noisekit.shown import shown

LEGEND = (
    "Difference to standard on the same prompts and seeds, with its 95 % interval; bold where it leaves 0 out. "
    f"{DAGGER} optimised by the method, itself or by its weights or backbone. Calls: evaluations of the denoiser; equiv.: "
    "operations of all networks, in such evaluations."
)
#: Columns below which outcomes and seconds are left out.
WIDE = 100
_STYLES = {"better": "bold green", "worse": "bold red", "open": "", "none": ""}


def show(run: ReportedRun, console: Console | None = None) -> None:
    """Print one table a model: a block of lines a method, a line a metric, held-out metrics first."""
    console = console or Screen()
    ranked = ranking(run)
    for model, lines in ranked.models.items():
        console.print(_table(model, lines, ranked.metrics, wide=console.width >= WIDE))
    for model, found in claims(run, ranked).items():
        console.print(Text(shown(f"{model}: {found.finding}"), style="bold"))
    console.print(Text(LEGEND, style="dim"))
    for line in legend(run.metric_info[metric] for metric in ranked.metrics):
        console.print(Text(line, style="dim"))
    for label, method in {line.label: line.method for line in ranked.lines}.items():
        if label != method:
            console.print(Text(shown(f"{label}: {method}"), style="dim"))


def _table(model: str, lines: Sequence[Line], metrics: Sequence[str], wide: bool) -> Table:
    first = lines[0]
    title = f"{model}: {first.prompts} prompts, {first.images} images a method"
    table = Table(
        title=Text(shown(title)),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_lines=True,
    )
    table.add_column("method", overflow="fold", min_width=12, max_width=28 if wide else 20)
    table.add_column("metric", no_wrap=True)
    outcomes, seconds = (["win/tie/loss"], ["equiv.", "s/image"]) if wide else ([], [])
    for heading in ("mean", "difference [95 %]", *outcomes, "calls", *seconds):
        table.add_column(heading, justify="right", no_wrap=True)
    for line in lines:
        compared = [line.comparisons[metric] for metric in metrics]
        table.add_row(
            Text.assemble(
                (_label(line), "bold"), "" if line.images == first.images else f"\n{line.images} images"
            ),
            _stack([Text(one.metric) for one in compared]),
            _stack([Text(f"{one.mean_text} {DAGGER if one.optimised else ' '}") for one in compared]),
            _stack([_difference(one) for one in compared]),
            *([_stack([Text(one.outcomes_text.replace(" ", "")) for one in compared])] if wide else []),
            line.calls_text,
            *([line.equivalents_text, line.seconds_text] if wide else []),
        )
    return table


def _label(line: Line) -> str:
    """The label with its settings on lines of their own."""
    return shown(line.label).replace("(", "\n(").replace(", ", ",\n ")


def _difference(one: Comparison) -> Text:
    text = f"{one.difference_text} {one.interval_text}".strip()
    return Text(text, style=_STYLES[one.verdict])


def _stack(parts: Sequence[Text]) -> Text:
    return Text("\n").join(parts)
