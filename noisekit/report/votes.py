"""What people said of the images of a run, and how well the metrics predicted it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from noisekit.report.source import ReportedRun
from noisekit.report.tables import DAGGER


@dataclass(frozen=True)
class Preferred:
    """How often a method was preferred to another; counts are of votes, the other figures as they are shown."""

    model: str
    question: str
    label: str
    other: str
    wins: int
    ties: int
    losses: int
    prompts: int
    voters: int
    rate: str
    always: str


@dataclass(frozen=True)
class Predicted:
    """On which share of some votes a metric preferred what the voter preferred."""

    question: str
    metric: str
    votes: int
    accuracy: str


@dataclass(frozen=True)
class Votes:
    """preferred: a row a question and two methods. predicted: a row a question and metric, and one for another voter."""

    preferred: Sequence[Preferred]
    predicted: Sequence[Predicted]


def votes(run: ReportedRun, labels: Mapping[str, str]) -> Votes | None:
    """What the page shows of votes, or None where nobody voted; labels: short names of methods."""
    found = run.votes()
    if not len(found):
        return None
    climbed = frozenset[str]().union(*(run.optimised(method) for method in labels))
    preferred = [
        Preferred(
            *(row["model"], row["question"], labels[row["method"]], labels[row["other"]]),
            *(row["wins"], row["ties"], row["losses"], row["prompts"], row["voters"]),
            within(row["rate"], row["low"], row["high"]),
            ends(row["always_low"], row["always_high"]),
        )
        for row in found.rates().to_dict("records")
    ]
    table = found.predictors().query("category == ''").sort_values("accuracy", ascending=False, kind="stable")
    predicted = [
        Predicted(
            row["question"],
            f"{row['metric']}{DAGGER if row['metric'] in climbed else ''}",
            row["votes"],
            within(row["accuracy"], row["low"], row["high"]),
        )
        for row in table.to_dict("records")
    ]
    return Votes(preferred, predicted)


def within(value: float, low: float, high: float) -> str:
    """A figure with its interval, "0.62 [0.55, 0.68]"."""
    return two(value) if math.isnan(low) else f"{two(value)} {ends(low, high)}"


def ends(low: float, high: float) -> str:
    """An interval, "[0.55, 0.68]"."""
    return f"[{two(low)}, {two(high)}]"


def two(value: float) -> str:
    """Two digits after the point, a dash where nothing is known."""
    return "–" if math.isnan(value) else f"{value:.2f}".replace("-", "−")
