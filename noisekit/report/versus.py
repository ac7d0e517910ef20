"""Two runs compared: what differs in how they were made, and whether the images differ by more than chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from noisekit.errors import BadValue
from noisekit.evaluation.matches import matches, unmatched
from noisekit.report.claims import p_value
from noisekit.report.provenance import facts
from noisekit.report.source import ReportedRun, labels
from noisekit.report.tables import DASH, decimals_of, number, signed
from noisekit.shown import shown

if TYPE_CHECKING:
    import pandas as pd

#: Facts of a manifest that are different in every two runs and mean nothing.
IGNORED = ("created",)
LEGEND = (
    "Paired changes from the first run to the second on the same model, method, prompt and seed, with 95 % intervals "
    "clustered by prompt; p after Holm over all rows. A change is real where p is at most .05; scores "
    "that differ by at most the metric's tie are equal."
)


class ComparedRun(ReportedRun, Protocol):
    """A run that also says by which weights each metric scored."""

    @property
    def metric_ids(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class Change:
    """A fact of how the runs were made that differs; "–" where one of them lacks it."""

    what: str
    first: str
    second: str


@dataclass(frozen=True)
class Row:
    """One method on one metric in both runs. equal: the share of image pairs whose scores differ by at most the tie."""

    model: str
    label: str
    metric: str
    images: int
    equal: float
    first: float
    second: float
    difference: float
    low: float
    high: float
    p_holm: float
    places: int

    @property
    def verdict(self) -> Literal["higher", "lower", "open", "equal"]:
        if self.equal == 1:
            return "equal"
        if not self.p_holm <= 0.05:
            return "open"
        return "higher" if self.difference > 0 else "lower"

    @property
    def means_text(self) -> str:
        return f"{number(self.first, self.places)} → {number(self.second, self.places)}"

    @property
    def difference_text(self) -> str:
        interval = "" if math.isnan(self.low) else f" [{self.signed(self.low)}, {self.signed(self.high)}]"
        return self.signed(self.difference) + interval

    @property
    def p_text(self) -> str:
        return p_value(self.p_holm)

    def signed(self, value: float) -> str:
        return signed(value, self.places)


@dataclass(frozen=True)
class Missing:
    """Images of a method that stand in one run only."""

    model: str
    label: str
    both: int
    first: int
    second: int


@dataclass(frozen=True)
class Versus:
    """Two runs: folders, what differs in how they were made, paired changes, and images without a partner."""

    folders: tuple[Path, Path]
    changes: Sequence[Change]
    rows: Sequence[Row]
    missing: Sequence[Missing]

    @property
    def real(self) -> int:
        """How many changes are more than chance."""
        return sum(row.verdict in ("higher", "lower") for row in self.rows)

    @property
    def equal(self) -> int:
        """How many rows have equal scores throughout."""
        return sum(row.verdict == "equal" for row in self.rows)

    @property
    def finding(self) -> str:
        """The outcome in one sentence."""
        parts = [f"{self.real} changed by more than chance", f"{self.equal} are equal image by image"]
        unclear = len(self.rows) - self.real - self.equal
        if unclear:
            parts.append(f"of {unclear} it cannot be told")
        return f"Of {len(self.rows)} comparisons, {', '.join(parts[:-1])} and {parts[-1]}."


def versus(first: ComparedRun, second: ComparedRun) -> Versus:
    """Compare two runs; raises `BadValue` where they have no image or no metric in common."""
    one, two = first.frame(), second.frame()
    renamed = _renamed(one, two)
    one, two = (frame.replace({"model": renamed}) for frame in (one, two))
    lacking = unmatched(one, two)
    folders = f"{str(first.folder)!r} and {str(second.folder)!r}"
    if not lacking["both"].any():
        raise BadValue(
            f"runs {folders} have no image of the same model, method, prompt and seed; `noisekit status` shows what each "
            "holds"
        )
    columns = {name: info.raw for name, info in first.metric_info.items() if name in second.metrics}
    if not columns:
        raise BadValue(
            f"runs {folders} have no metric in common; score one again with the metrics of the other"
        )
    ties = {column: first.metric_info[name].tie for name, column in columns.items()}
    table = matches(one, two, list(ties), ties, first.shared or second.shared)
    names = labels({**first.arms, **second.arms}.values())
    raw = {column: name for name, column in columns.items()}
    rows = [_row(row, names, raw) for row in table.to_dict("records")]
    missing = [
        Missing(row["model"], names[row["method"]], row["both"], row["first"], row["second"])
        for row in lacking.to_dict("records")
        if row["first"] or row["second"]
    ]
    return Versus((first.folder, second.folder), changes(first, second, renamed), rows, missing)


def changes(first: ComparedRun, second: ComparedRun, renamed: Mapping[str, str]) -> list[Change]:
    """What differs: versions, hardware and noise of the stores, weights of metrics, and every value behind the images.

    renamed: the name under which models are compared, where it is not their own.
    """
    found = _differing("", dict(facts(first.manifest)), dict(facts(second.manifest)))
    found += _differing("metric ", _metrics(first), _metrics(second), common=True)
    one, two = (
        {(renamed.get(model, model), method): fields for (model, method), fields in run.settings().items()}
        for run in (first, second)
    )
    names = labels({**first.arms, **second.arms}.values())
    for model, method in one:
        if (model, method) in two:
            ours, theirs = (dict(facts(run[model, method])) for run in (one, two))
            found += _differing(f"{model}, {names[method]}: ", ours, theirs)
    return found


def _renamed(one: pd.DataFrame, two: pd.DataFrame) -> dict[str, str]:
    """The names of models without their settings, where the runs have no model in common as they stand.

    A run that has a model under several settings keeps them apart, and then nothing is renamed.
    """
    names = [dict(zip(frame["model"], frame["model_name"], strict=True)) for frame in (one, two)]
    if set(names[0]) & set(names[1]) or any(len(set(own.values())) < len(own) for own in names):
        return {}
    return names[0] | names[1]


def _metrics(run: ComparedRun) -> dict[str, str]:
    """What each metric is, and the hash of its weights."""
    return {
        name: f"{info.version}, {info.weights} weights ({run.metric_ids[name][:8]})"
        for name, info in run.metric_info.items()
    }


def _differing(
    prefix: str, first: Mapping[str, str], second: Mapping[str, str], common: bool = False
) -> list[Change]:
    names = [name for name in dict.fromkeys([*first, *second]) if name not in IGNORED]
    if common:
        names = [name for name in names if name in first and name in second]
    return [
        Change(prefix + name, first.get(name, DASH), second.get(name, DASH))
        for name in names
        if first.get(name) != second.get(name)
    ]


def _row(row: Mapping[Any, Any], names: Mapping[str, str], raw: Mapping[str, str]) -> Row:
    spread = abs(row["high"] - row["low"]) if row["high"] > row["low"] else abs(row["first"])
    figures = {
        name: float(row[name]) for name in ("first", "second", "difference", "low", "high", "p_holm", "equal")
    }
    return Row(
        model=row["model"],
        label=names[row["method"]],
        metric=raw[row["metric"]],
        images=int(row["images"]),
        places=decimals_of(spread),
        **figures,
    )


def show_versus(found: Versus, console: Console) -> None:
    """Print what differs, and the paired changes."""
    if found.changes:
        table = _table(
            "what differs in how they were made", "", *(shown(str(folder)) for folder in found.folders)
        )
        for one in found.changes:
            table.add_row(*(Text(shown(text)) for text in (one.what, one.first, one.second)))
        console.print(table)
    else:
        console.print(Text("Nothing recorded differs in how they were made."))
    table = _table("method", "metric", "images", "means", "change [95 %]", "p", "")
    styles = {"higher": "bold green", "lower": "bold red", "open": "", "equal": "dim"}
    for row in found.rows:
        cells = (
            row.label,
            row.metric,
            str(row.images),
            row.means_text,
            row.difference_text,
            row.p_text,
            row.verdict,
        )
        table.add_row(*(Text(shown(cell), style=styles[row.verdict]) for cell in cells))
    console.print(table)
    if found.missing:
        table = _table("images that stand in one run only", "model", "both", "first", "second")
        for lack in found.missing:
            counts = (lack.both, lack.first, lack.second)
            table.add_row(*(Text(shown(str(cell))) for cell in (lack.label, lack.model, *counts)))
        console.print(table)
    console.print(Text(found.finding, style="bold"))
    console.print(Text(LEGEND, style="dim"))


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table
