"""The best of several arms, without being fooled by having looked for it.

    q_a          mean of a metric over prompts; of several metrics, minus the mean rank of arm a among the arms
    d_a          = q_a − q_r                                        against a reference r, on the same (prompt, seed)
    z*           = max over arms of |d*_a − d_a| / s_a              over drawn prompts, s_a the deviation of d*_a
    interval     = d_a ± c·s_a                                      c: 95 % of the z* lie below
    best         = argmax d_a over the arms whose interval lies above 0; r where there is none

The best of many noisy figures is too good, and an interval made as if nobody had looked for it misses too often. These
intervals hold for all arms at once, so for whichever comes out best (Hothorn, Bretz, Westfall 2008, "Simultaneous inference
in general parametric models"): an arm that is no better than r is taken for it in at most 5 % of experiments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from noisekit.evaluation.bootstrap import percentiles
from noisekit.evaluation.intervals import SEEDS, Array
from noisekit.evaluation.ranks import Ranks, ranks


@dataclass(frozen=True)
class Race:
    """Arms in order, with `figures`, their ranks and means; None where there is one arm only."""

    arms: tuple[str, ...]
    figures: Ranks | None

    @property
    def prompts(self) -> int:
        """How many the arms have in common, 0 for a single arm."""
        return self.figures.prompts if self.figures else 0

    def among(self, arms: Sequence[str]) -> Race:
        """The race of some of the arms alone, on the prompts that all have in common."""
        if self.figures is None or len(arms) < 2:
            return Race(tuple(arms), None)
        cells = self.figures.cells[:, :, [self.arms.index(arm) for arm in arms]]
        return Race(tuple(arms), replace(self.figures, methods=tuple(arms), cells=cells))

    def against(self, reference: str) -> pd.DataFrame:
        """d_a of every arm with its simultaneous 95 % interval: index arm, columns difference, low, high.

        Bounds are NaN where noise is shared and seeds are fewer than `SEEDS`: nothing can be told then.
        """
        r = self.arms.index(reference)
        if self.figures is None:
            return pd.DataFrame({"difference": [0.0], "low": 0.0, "high": 0.0}, index=[reference])
        d, drawn = self._q - self._q[r], self._drawn - self._drawn[:, [r]]
        s = np.sqrt(np.mean((drawn - d) ** 2, axis=0))
        off = np.divide(np.abs(drawn - d), s, out=np.zeros_like(drawn), where=s > 1e-12)
        low, high = percentiles(self.prompts)
        c = np.quantile(off.max(axis=1), high - low)
        if self.figures.shared and self.figures.cells.shape[1] < SEEDS:
            c = np.nan
        return pd.DataFrame({"difference": d, "low": d - c * s, "high": d + c * s}, index=list(self.arms))

    def best(self, reference: str) -> str:
        """The arm to take: the best of those that are told from the reference as better, else the reference."""
        table = self.against(reference)
        told = table[table["low"] > 0]
        return str(told["difference"].idxmax()) if len(told) else reference

    @cached_property
    def _q(self) -> Array:
        assert self.figures is not None
        return _quality(self.figures.means[None])[0]

    @cached_property
    def _drawn(self) -> Array:
        assert self.figures is not None
        return _quality(self.figures.drawn)


def race(frame: pd.DataFrame, metrics: Sequence[str], shared: bool = False) -> Race:
    """Of a frame with one row an image, columns method (the arm), prompt, seed and metrics that all arms have.

    `figures` is None as well where the arms have fewer than two prompts in common. shared: whether all prompts had the
    same noises.
    """
    return Race(tuple(dict.fromkeys(frame["method"])), ranks(frame, metrics, shared))


def _quality(means: Array) -> Array:
    """q (R, A) of means (R, A, K): themselves where K = 1, else minus the mean rank; ties share theirs."""
    if means.shape[-1] == 1:
        return means[..., 0]
    columns = pd.DataFrame(np.moveaxis(means, 1, 0).reshape(means.shape[1], -1))
    ranked = columns.rank(ascending=False).to_numpy().reshape(means.shape[1], len(means), -1)
    return -np.moveaxis(ranked, 0, 1).mean(-1)
