"""The numbers of a report as text: who did how well, against standard, at what cost.

Differences are paired with the standard image of the same prompt and seed. A verdict is given only where the 95 % interval
leaves 0 out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from noisekit.report.source import STANDARD, TRUTH, ReportedRun, labels

if TYPE_CHECKING:
    import pandas as pd

DASH = "–"
DAGGER = "†"


@dataclass(frozen=True)
class Comparison:
    """One method on one metric. Figures are NaN where there is nothing to compare."""

    metric: str
    mean: float
    difference: float
    low: float
    high: float
    win: float
    tie: float
    loss: float
    optimised: bool
    decimals: int

    @property
    def verdict(self) -> Literal["better", "worse", "open", "none"]:
        """Whether the interval lies above 0, below it or around it; "none" for standard itself."""
        if math.isnan(self.low):
            return "none"
        return "better" if self.low > 0 else "worse" if self.high < 0 else "open"

    @property
    def mean_text(self) -> str:
        return number(self.mean, self.decimals)

    @property
    def difference_text(self) -> str:
        return signed(self.difference, self.decimals)

    @property
    def interval_text(self) -> str:
        if math.isnan(self.low):
            return ""
        return f"[{signed(self.low, self.decimals)}, {signed(self.high, self.decimals)}]"

    @property
    def outcomes_text(self) -> str:
        """Win / tie / loss in per cent of pairs."""
        if math.isnan(self.win):
            return DASH
        return " / ".join(f"{100 * share:.0f}" for share in (self.win, self.tie, self.loss))


@dataclass(frozen=True)
class Line:
    """One method on one model."""

    model: str
    method: str
    label: str
    objective: str
    images: int
    prompts: int
    calls: float
    seconds: float
    comparisons: Mapping[str, Comparison]

    @property
    def is_standard(self) -> bool:
        return self.method == STANDARD

    @property
    def calls_text(self) -> str:
        return number(self.calls, 0 if float(self.calls).is_integer() else 1)

    @property
    def seconds_text(self) -> str:
        return number(self.seconds, 3 if self.seconds < 1 else 2 if self.seconds < 10 else 1)


@dataclass(frozen=True)
class Ranking:
    """models: lines by model, standard first, the others from best to worst on the first metric.

    metrics: those that scored anything; first the ones in held_out, which no method optimised, the ground truth before
    all.
    """

    models: Mapping[str, Sequence[Line]]
    metrics: Sequence[str]
    held_out: Sequence[str]

    @property
    def lines(self) -> list[Line]:
        return [line for lines in self.models.values() for line in lines]


def ranking(run: ReportedRun) -> Ranking:
    """The summary of a run, read once: its intervals take seconds for large runs."""
    summary = run.summary()
    names = labels(list(summary["method"]))
    climbed = frozenset[str]().union(*(run.optimised(method) for method in names))
    metrics = [metric for metric in run.metrics if summary[metric].notna().any()]
    metrics.sort(key=lambda metric: (metric in climbed, metric != TRUTH))
    places = decimals(run.frame(), summary, metrics)
    models: dict[str, list[Line]] = {}
    for row in summary.to_dict("records"):
        method, optimised = row["method"], run.optimised(row["method"])
        line = Line(
            model=row["model"],
            method=method,
            label=names[method],
            objective=run.objective(method),
            images=int(row["n_images"]),
            prompts=int(row["n_prompts"]),
            calls=float(row["calls"]),
            seconds=float(row["seconds"]),
            comparisons={m: _comparison(row, m, m in optimised, places[m]) for m in metrics},
        )
        models.setdefault(line.model, []).append(line)
    for lines in models.values():
        lines.sort(key=lambda line: (not line.is_standard, *(_descending(line, m) for m in metrics[:1])))
    return Ranking(models, metrics, [metric for metric in metrics if metric not in climbed])


def _comparison(row: Mapping[Any, Any], metric: str, optimised: bool, places: int) -> Comparison:
    parts = ("difference", "low", "high", "win", "tie", "loss")
    figures = {part: float(row[f"{metric}_{part}"]) for part in parts}
    return Comparison(metric=metric, mean=float(row[metric]), optimised=optimised, decimals=places, **figures)


def _descending(line: Line, metric: str) -> float:
    mean = line.comparisons[metric].mean
    return math.inf if math.isnan(mean) else -mean


def decimals(frame: pd.DataFrame, summary: pd.DataFrame, metrics: Sequence[str]) -> dict[str, int]:
    """Decimals that show a hundredth or so of a metric's spread between images, and its narrowest interval."""
    result = {}
    for metric in metrics:
        spread = float(frame[metric].astype(float).std())
        places = min(5, max(0, 2 - math.floor(math.log10(spread)))) if spread > 0 else 3
        widths = (summary[f"{metric}_high"] - summary[f"{metric}_low"]).astype(float)
        narrowest = widths[widths > 0].min()
        if narrowest > 0:
            places = max(places, min(places + 2, -math.floor(math.log10(narrowest / 2))))
        result[metric] = places
    return result


@dataclass(frozen=True)
class Cell:
    """A mean and the number of images behind it; share is how much of the cell to shade, 0 … 1."""

    mean: float
    images: int

    @property
    def text(self) -> str:
        return number(self.mean, 2)

    @property
    def share(self) -> float:
        return 0.0 if math.isnan(self.mean) else min(1.0, max(0.0, self.mean))


@dataclass(frozen=True)
class Breakdown:
    """Ground truth in parts. groups: heading to its columns; rows: model, label and a cell a column, in order."""

    groups: Mapping[str, Sequence[str]]
    rows: Sequence[tuple[str, str, Sequence[Cell]]]


def breakdown(frame: pd.DataFrame, lines: Sequence[Line]) -> Breakdown | None:
    """Truth by kind of prompt, by whether its words were trained together, and by skill; None without any truth."""
    if TRUTH not in frame or frame[TRUTH].isna().all():
        return None
    frame = frame[frame[TRUTH].notna()]
    kinds = list(frame["kind"].dropna().unique())
    skills = [
        column for column in frame if str(column).startswith(f"{TRUTH}_") and frame[column].notna().any()
    ]
    groups = {"all": ["all"]}
    columns: dict[str, pd.DataFrame] = {"all": frame}
    if len(kinds) > 1:
        groups["kind of prompt"] = kinds
        columns |= {kind: frame[frame["kind"] == kind] for kind in kinds}
    if frame["unseen"].notna().any():
        groups["combination of words"] = ["seen", "unseen"]
        unseen = frame["unseen"].astype("boolean")
        columns |= {"seen": frame[unseen.eq(False).fillna(False)], "unseen": frame[unseen.fillna(False)]}
    if skills:
        groups["skill"] = [str(skill).removeprefix(f"{TRUTH}_") for skill in skills]
    rows = []
    for line in lines:
        cells = [_cell(part, line, TRUTH) for part in columns.values()]
        cells += [_cell(frame, line, str(skill)) for skill in skills]
        rows.append((line.model, line.label, cells))
    return Breakdown(groups, rows)


def _cell(frame: pd.DataFrame, line: Line, column: str) -> Cell:
    own = frame[(frame["model"] == line.model) & (frame["method"] == line.method)]
    scores = own[column].dropna().astype(float)
    return Cell(float(scores.mean()), len(scores))


def number(value: float, places: int) -> str:
    """Fixed decimals, thousands apart, a true minus sign; a dash for NaN."""
    return DASH if math.isnan(value) else f"{value:z,.{places}f}".replace("-", "−")


def signed(value: float, places: int) -> str:
    """The same with its sign."""
    return DASH if math.isnan(value) else f"{value:+z,.{places}f}".replace("-", "−")
