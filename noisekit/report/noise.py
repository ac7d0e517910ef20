"""What became of the noise, as numbers: is it still Gaussian, and how far from where it started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from noisekit.report.tables import DASH, Line, number

if TYPE_CHECKING:
    import pandas as pd

#: Column of the frame to its heading and decimals.
FIGURES = {
    "noise_norm": ("norm", 2),
    "noise_kurtosis": ("excess kurtosis", 3),
    "noise_distance": ("distance to the initial noise", 2),
    "noise_cosine": ("cosine with the initial noise", 3),
}


@dataclass(frozen=True)
class NoiseTable:
    """headings: of the figures that were recorded; rows: a line and its texts "mean ± standard deviation over images"."""

    headings: Sequence[str]
    rows: Sequence[tuple[Line, Sequence[str]]]


def noise_table(frame: pd.DataFrame, lines: Sequence[Line]) -> NoiseTable | None:
    """None where nothing was recorded."""
    columns = [column for column in FIGURES if column in frame and frame[column].notna().any()]
    if not columns:
        return None
    rows = []
    for line in lines:
        own = frame[(frame["model"] == line.model) & (frame["method"] == line.method)]
        rows.append((line, [_text(own[column], FIGURES[column][1]) for column in columns]))
    return NoiseTable([FIGURES[column][0] for column in columns], rows)


def _text(values: pd.Series, places: int) -> str:
    values = values.dropna().astype(float)
    if values.empty:
        return DASH
    spread = number(float(values.std(ddof=0)), places)
    return f"{number(float(values.mean()), places)} ± {spread}"
