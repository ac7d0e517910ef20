"""How far metrics agree on which images are better: their rank correlations as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from noisekit.report.tables import number

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Correlation:
    """−1 … 1, NaN where a metric is constant; share: how much to shade, 0 … 1."""

    value: float

    @property
    def text(self) -> str:
        return number(self.value, 2)

    @property
    def share(self) -> float:
        return 0.0 if math.isnan(self.value) else abs(self.value)


def correlation_table(
    correlations: pd.DataFrame, metrics: Sequence[str]
) -> list[tuple[str, list[Correlation]]]:
    """Rows of metric and its correlation with each; none of fewer than two metrics."""
    shown = [metric for metric in metrics if metric in correlations]
    if len(shown) < 2:
        return []
    values = correlations.loc[shown, shown].to_numpy(float)
    return [(one, [Correlation(value) for value in row]) for one, row in zip(shown, values, strict=True)]
