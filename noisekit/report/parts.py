"""The ground truth in parts: which kinds of prompts and which skills a method helps or hurts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from noisekit.evaluation.statistics import differences, interval, mean_of_prompts
from noisekit.report.plots.differences import Bar
from noisekit.report.source import STANDARD
from noisekit.report.tables import Line, number

if TYPE_CHECKING:
    import pandas as pd

    from noisekit.metrics import MetricInfo


@dataclass(frozen=True)
class TruthMean:
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
    rows: Sequence[tuple[str, str, Sequence[TruthMean]]]


def breakdown(frame: pd.DataFrame, lines: Sequence[Line], truth: MetricInfo | None) -> Breakdown | None:
    """Truth by kind of prompt, by whether its words were trained together, and by its parts; None without any truth."""
    if truth is None:
        return None
    frame = frame[frame[truth.name].notna()]
    kinds = list(frame["kind"].dropna().unique())
    skills = {
        part: column
        for part, column in zip(truth.parts, truth.columns[1:], strict=True)
        if column in frame and frame[column].notna().any()
    }
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
        groups["skill"] = list(skills)
    rows = []
    for line in lines:
        cells = [_cell(part, line, truth.name) for part in columns.values()]
        cells += [_cell(frame, line, column) for column in skills.values()]
        rows.append((line.model, line.label, cells))
    return Breakdown(groups, rows)


def _cell(frame: pd.DataFrame, line: Line, column: str) -> TruthMean:
    own = frame[(frame["model"] == line.model) & (frame["method"] == line.method)]
    scores = own[column].dropna().astype(float)
    return TruthMean(float(scores.mean()), len(scores))


def by_kind(
    frame: pd.DataFrame, lines: Sequence[Line], truth: str | None, shared: bool
) -> dict[str, list[Bar]]:
    """Paired differences of the truth to standard on one model: kind of prompt to a bar a method; {} for a single kind."""
    if truth is None or frame["kind"].nunique() < 2:
        return {}
    scored = frame[frame[truth].notna()]
    others = [line for line in lines if not line.is_standard]
    kinds = {str(kind): part for kind, part in scored.groupby("kind", sort=False)}
    return {kind: [_bar(part, line, truth, shared) for line in others] for kind, part in kinds.items()}


def _bar(frame: pd.DataFrame, line: Line, truth: str, shared: bool) -> Bar:
    own = frame[frame["model"] == line.model]
    standard, method = own[own["method"] == STANDARD], own[own["method"] == line.method]
    d = differences(method, standard, truth)
    return Bar(mean_of_prompts(d), *interval(d, shared=shared))
