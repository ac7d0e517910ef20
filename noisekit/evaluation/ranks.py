"""Where methods stand among each other, on metrics that are each on a scale of its own.

    m(a, k)       = mean over prompts of the mean over seeds of metric k          on the (prompt, seed) that all methods have
    rank(a, k)    = 1 + number of methods above + half the number of others level         1 is best
    mean rank(a)  = mean over metrics of rank(a, k)
    duel(a, b, k) = won, lost or open as the interval of m(a, k) − m(b, k) lies above, below or around 0

Intervals are percentiles over prompts drawn with replacement, each draw the same for all methods and metrics, so that they
are paired; when all prompts share their noises, seeds are drawn as well (see `noisekit.evaluation.statistics`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from noisekit.evaluation.statistics import Array, percentile

RESAMPLES = 2_000


@dataclass(frozen=True)
class Ranks:
    """methods (A), metrics (K), means (A, K), and the same for each of R draws of the prompts, drawn (R, A, K)."""

    methods: tuple[str, ...]
    metrics: tuple[str, ...]
    prompts: int
    means: Array
    drawn: Array

    def of(self, metrics: Sequence[str]) -> pd.DataFrame:
        """Mean rank over some metrics by method, 1 … A, with its 95 % interval: columns rank, low, high."""
        chosen = [self.metrics.index(metric) for metric in metrics]
        low, high = np.quantile(_ranks(self.drawn[..., chosen]).mean(-1), self._tails, axis=0)
        table = {"rank": _ranks(self.means[:, chosen]).mean(-1), "low": low, "high": high}
        return pd.DataFrame(table, index=list(self.methods))

    def duel(self, one: str, other: str, metric: str) -> int:
        """1 where `one` beats `other` beyond the interval of their difference, −1 where it loses, 0 where that is open."""
        a, b, k = self.methods.index(one), self.methods.index(other), self.metrics.index(metric)
        low, high = np.quantile(self.drawn[:, a, k] - self.drawn[:, b, k], self._tails)
        return int(low > 0) - int(high < 0)

    @cached_property
    def _tails(self) -> tuple[float, float]:
        tail = percentile(0.025, self.prompts)
        return tail, 1 - tail


def ranks(frame: pd.DataFrame, metrics: Sequence[str], shared: bool = False) -> Ranks | None:
    """The standing of the methods of one model, from a frame with one row an image.

    Metrics that some method lacks are left out. None where there is no metric left, or where fewer than two methods share
    two prompts. shared: whether all prompts had the same noises.
    """
    methods = list(dict.fromkeys(frame["method"]))
    scored = [metric for metric in metrics if frame.groupby("method")[metric].count().all()]
    if not scored or len(methods) < 2:
        return None
    keys = ["prompt", "seed"]
    scores = frame[[*keys, "method", *scored]].dropna().astype(dict.fromkeys(scored, float))
    table = scores.pivot(
        index=keys, columns="method", values=scored
    ).dropna()  # (prompt, seed) × (metric, method)
    prompts, seeds = (table.index.unique(level) for level in keys)
    if len(prompts) < 2:
        return None
    table = table.reindex(columns=pd.MultiIndex.from_product([scored, methods]))
    grid = table.reindex(pd.MultiIndex.from_product([prompts, seeds])).to_numpy(float)
    cells = grid.reshape(len(prompts), len(seeds), -1)
    shape = (-1, len(scored), len(methods))
    means = np.nanmean(cells, axis=1).mean(axis=0)
    drawn = _drawn_means(cells, shared)
    return Ranks(
        tuple(methods),
        tuple(scored),
        len(prompts),
        means.reshape(shape)[0].T,
        drawn.reshape(shape).transpose(0, 2, 1),
    )


def _drawn_means(cells: Array, shared: bool) -> Array:
    """Means of cells (P, S, M) over prompts, or over prompts and seeds, drawn with replacement: (R, M).

    A (prompt, seed) is NaN for all M or for none.
    """
    prompts, seeds, columns = cells.shape
    draw = np.random.default_rng(0)
    rows = draw.multinomial(prompts, np.full(prompts, 1 / prompts), RESAMPLES)
    if not shared:
        return np.asarray(rows @ np.nanmean(cells, axis=1) / prompts)
    across = draw.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES)
    weights = (rows[:, :, None] * across[:, None] * ~np.isnan(cells[..., 0])).reshape(RESAMPLES, -1)
    there = weights.sum(1, keepdims=True)
    kept = there[:, 0] > 0  # a draw may miss every cell of a table with gaps
    return np.asarray((weights @ np.nan_to_num(cells).reshape(-1, columns) / np.maximum(there, 1))[kept])


def _ranks(means: Array) -> Array:
    """Ranks along the axis before the last of means (…, A, K), the highest first; methods that are level share theirs."""
    one, others = means[..., :, None, :], means[..., None, :, :]
    return np.asarray((others > one).sum(-2) + (others == one).sum(-2) / 2 + 0.5, dtype=float)
