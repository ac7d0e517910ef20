"""What the two halves of a search added: to what it climbs, and to a metric that it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from noisekit.evaluation.statistics import differences, interval, mean_of_prompts
from noisekit.report.plots.search import climbs, of_line
from noisekit.report.tables import Comparison, Line

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Half:
    """The paired change between two candidates of a search: of its objective, and of a metric that it does not climb."""

    line: Line
    first: int
    last: int
    climbed: Comparison
    judged: Comparison


def halves(traces: pd.DataFrame, lines: Sequence[Line], metric: str, shared: bool) -> list[Half]:
    """For each watched search its first half and its second, up to and from the last checkpoint in the first half.

    The split depends on nothing that was measured, so that the change has an honest interval.
    """
    return [
        half for line in lines if climbs(traces, line, metric) for half in _of(traces, line, metric, shared)
    ]


def _of(traces: pd.DataFrame, line: Line, metric: str, shared: bool) -> list[Half]:
    column = f"metric_{metric}"
    own = of_line(traces, line).dropna(subset=[column])
    steps = sorted(own["step"].unique())
    middle = max(step for step in steps if step == steps[0] or step + 1 <= (steps[-1] + 1) / 2)
    ends = [(steps[0], middle), (middle, steps[-1])] if middle > steps[0] else [(steps[0], steps[-1])]
    places = line.comparisons[metric].decimals
    return [
        Half(
            line,
            int(first) + 1,
            int(last) + 1,
            _change(own, first, last, "best", 3, shared),
            _change(own, first, last, column, places, shared),
        )
        for first, last in ends
    ]


def _change(own: pd.DataFrame, first: int, last: int, column: str, places: int, shared: bool) -> Comparison:
    before, after = own[own["step"] == first], own[own["step"] == last]
    d = differences(after, before, column)
    low, high = interval(d, shared=shared)
    nothing = float("nan")
    return Comparison(
        metric=column,
        mean=float(after[column].mean()),
        difference=mean_of_prompts(d),
        low=low,
        high=high,
        win=nothing,
        tie=nothing,
        loss=nothing,
        optimised=column == "best",
        decimals=places,
    )
