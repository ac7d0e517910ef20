"""The best of several arms, without being fooled by having looked for it.

    q_a          mean of a metric over prompts; of several metrics, minus the mean rank of arm a among the arms
    d_a          = q_a − q_r                                        against a reference r, on the same (prompt, seed)
    z*           = max over arms of |d*_a − d_a| / s_a              over drawn prompts, s_a the deviation of d*_a
    interval     = d_a ± c·s_a                                      c: 95 % of the z* lie below
    best         = argmax d_a over the arms whose interval lies above 0; r where there is none
    shrunk d_a   = d_a·τ² / (τ² + s_a²)                             τ² = mean over arms of d² − s², at least 0

The best of many noisy figures is too good, and an interval made as if nobody had looked for it misses too often. These
intervals hold for all arms at once, so for whichever comes out best (Hothorn, Bretz, Westfall 2008, "Simultaneous inference
in general parametric models"): an arm that is no better than r is taken for it in at most 5 % of experiments. Where the
reference was itself chosen from the data, as the best arm is, z* is the maximum over all pairs of arms (Tukey).

An interval says where the gain may lie, not that its middle is a fair guess: who is chosen for a high figure was lucky too.
The shrunk gain is the mean of δ_a given d_a where effects are normal around none with the variance τ² that these arms show
(Efron and Morris 1973); the less arms differ by more than their noise, the less of the highest is believed.

Ranks are among these arms: with others beside them, minus the mean rank of each and its differences are others.
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

    def against(self, reference: str, *, chosen: bool = False) -> pd.DataFrame:
        """d_a of every arm with its simultaneous 95 % interval: index arm, columns difference, low, high, shrunk.

        Bounds are NaN where noise is shared and seeds are fewer than `SEEDS`: nothing can be told then.

        Args:
            reference: the arm r.
            chosen: whether r was found in these very figures, so that the intervals have to hold for all pairs.
        """
        r = self.arms.index(reference)
        if self.figures is None:
            nothing = {"difference": [0.0], "low": 0.0, "high": 0.0, "shrunk": 0.0}
            return pd.DataFrame(nothing, index=[reference])
        d, s = self._q - self._q[r], self._deviations(r)
        c = self._beyond if chosen else self._critical(self._off(r))
        if self.figures.shared and self.figures.cells.shape[1] < SEEDS:
            c = np.nan
        others = np.arange(len(d)) != r
        spread = max(0.0, float(np.mean(d[others] ** 2 - s[others] ** 2))) if others.any() else 0.0
        shrunk = np.divide(d * spread, spread + s**2, out=d.copy(), where=s > 1e-12)
        columns = {"difference": d, "low": d - c * s, "high": d + c * s, "shrunk": shrunk}
        return pd.DataFrame(columns, index=list(self.arms))

    def best(self, reference: str) -> str:
        """The arm to take: the best of those that are told from the reference as better, else the reference."""
        table = self.against(reference)
        told = table[table["low"] > 0]
        return str(told["difference"].idxmax()) if len(told) else reference

    def _deviations(self, r: int) -> Array:
        """s_a (A) against arm r."""
        return np.asarray(np.sqrt(np.mean((self._strayed - self._strayed[:, [r]]) ** 2, axis=0)))

    def _off(self, r: int) -> Array:
        """The largest |d*_a − d_a| / s_a of each draw (R), against arm r."""
        s, strayed = self._deviations(r), np.abs(self._strayed - self._strayed[:, [r]])
        return np.asarray(np.divide(strayed, s, out=np.zeros_like(strayed), where=s > 1e-12).max(axis=1))

    def _critical(self, off: Array) -> float:
        low, high = percentiles(self.prompts)
        return float(np.quantile(off, high - low))

    @cached_property
    def _beyond(self) -> float:
        """c for all pairs of arms at once."""
        worst = self._off(0)
        for r in range(1, len(self.arms)):
            worst = np.maximum(worst, self._off(r))
        return self._critical(worst)

    @cached_property
    def _q(self) -> Array:
        assert self.figures is not None
        return _quality(self.figures.means[None])[0]

    @cached_property
    def _strayed(self) -> Array:
        """q*_a − q_a of every draw (R, A)."""
        assert self.figures is not None
        return np.asarray(_quality(self.figures.drawn) - self._q)


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
    flat = pd.DataFrame(means.swapaxes(0, 1).reshape(means.shape[1], -1))
    return -flat.rank(ascending=False).to_numpy().reshape(means.shape[1], len(means), -1).mean(-1).T
