"""The mean of paired differences: its interval and its p-value, where prompts, and seeds if they are shared, are drawn.

    d (P, S)              differences of P prompts and S seeds, each the same noise with and without a method
    m = mean of d,  T = (m − μ) / s,  γ = ⅔ of the skewness of m

Noise of its own for every (prompt, seed): images of one prompt are alike, so that its mean r over seeds is one observation.

    s² = Σ(r − m)² / (P(P − 1)),   f = P − 1

One noise a seed for all prompts: images of one seed are alike too, and d = μ + prompt + seed + rest. With the mean squares A
of prompts, B of seeds and C of the rest,

    s² = (A + max(B − C, 0)) / (PS),   f = (PSs²)² / (A²/(P − 1) + B²/(S − 1) + C²/((P − 1)(S − 1)))

where the terms of B and C stand only if B > C (Satterthwaite 1946). Few seeds say little about how much seeds differ: below
four no interval both holds and says something, so there is none. Drawing prompts and seeds again (Owen 2007, "The pigeonhole
bootstrap") holds .81 of the time with two seeds (benchmarks/coverage.py).

Differences may be skewed, and Student's interval then lies beside where it should. Taking the skewness out (Hall 1992, "On
the removal of skewness by transformation") gives what resampling gives to the second order, without drawing:

    Z = T + γT²/3 + γ²T³/27 + γ/6        is compared with Student's t at f degrees of freedom
    T = 3/γ·((1 + γ(Z − γ/6))^⅓ − 1)     back, for the ends of the interval

An outlier of a symmetric distribution looks like skewness too, so a third of it is left in. Where prompts share a
difference, as of truth, which often is the same with and without a method, the skewness of a sample is an accident of the
few prompts that moved, and γ is 0. The interval leaves 0 out exactly where p is below 1 − level. Nothing is said where fewer
than `DEPART` prompts depart from the commonest difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Shared seeds that an interval takes.
SEEDS = 4
#: Prompts that have to depart from the commonest difference.
DEPART = 3
#: How much of a sample's skewness is believed.
TAKEN_OUT = 2 / 3


@dataclass(frozen=True)
class Estimate:
    """A mean, its standard error s, the degrees of freedom f of s, and γ; NaN where unknown."""

    mean: float
    error: float = np.nan
    freedom: float = np.nan
    skewness: float = np.nan

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Where μ lies; NaN where too little is known."""
        from scipy.special import stdtrit  # slow to import, and a listing needs no interval

        ends = stdtrit(self.freedom, [(1 + level) / 2, (1 - level) / 2])
        low, high = self.mean - self.error * _skewed(ends, self.skewness)
        return float(low), float(high)

    def p_above(self, bound: float) -> float:
        """How likely a mean as high as this one is if μ ≤ bound; NaN where too little is known."""
        return self._tail(-self._from(bound))

    def p_below(self, bound: float) -> float:
        """How likely a mean as low as this one is if μ ≥ bound; NaN where too little is known."""
        return self._tail(self._from(bound))

    @property
    def p(self) -> float:
        """How likely a mean as far from 0 is if μ = 0, on either side; NaN where too little is known."""
        return 2 * self._tail(-abs(self._from(0.0)))

    def _from(self, bound: float) -> float:
        """Z of a bound's distance in standard errors."""
        return float(
            _symmetric((self.mean - bound) / self.error if self.error > 0 else np.nan, self.skewness)
        )

    def _tail(self, z: float) -> float:
        from scipy.special import stdtr

        return float(stdtr(self.freedom, z))


def mean_of_prompts(d: Array) -> float:
    """Mean over prompts of the mean over seeds of d (prompts, seeds); NaN of nothing."""
    return float(np.nanmean(d, axis=1).mean()) if d.size else np.nan


def estimate(d: Array, *, shared: bool = False) -> Estimate:
    """The mean of d (P, S), NaN where an image is missing, and how well it is known.

    shared: whether all prompts had the same noises. Raises nothing: what is not known is NaN.
    """
    of_prompt = np.nanmean(d, axis=1) if d.size else np.empty(0)
    mean = float(of_prompt.mean()) if d.size else np.nan
    if len(d) <= DEPART or (shared and d.shape[1] < SEEDS):
        return Estimate(mean)
    commonest = _commonest(of_prompt)
    if len(d) - commonest < DEPART:
        return Estimate(mean)
    variance, freedom = _two_ways(d) if shared else (of_prompt.var(ddof=1) / len(d), len(d) - 1.0)
    third = float(np.mean((of_prompt - mean) ** 3)) / len(d) ** 2  # third central moment of the mean
    skewness = TAKEN_OUT * third / variance**1.5 if commonest == 1 else 0.0
    return Estimate(mean, float(np.sqrt(variance)), freedom, skewness)


def interval(d: Array, *, shared: bool = False, level: float = 0.95) -> tuple[float, float]:
    """The interval of the mean of d (prompts, seeds); NaN where too little is known."""
    return estimate(d, shared=shared).interval(level)


def _commonest(of_prompt: Array) -> int:
    """How many prompts share the commonest difference, up to rounding."""
    ordered = np.sort(of_prompt)
    steps = np.flatnonzero(np.diff(ordered) > 1e-9 * np.abs(of_prompt).max())
    return int(np.diff([-1, *steps, len(ordered) - 1]).max())


def _two_ways(d: Array) -> tuple[float, float]:
    """Variance of the mean of d and its degrees of freedom, where prompts and seeds are drawn."""
    prompts, seeds = d.shape
    filled, missing = _filled(d)
    of_prompt, of_seed = filled.mean(1, keepdims=True), filled.mean(0, keepdims=True)
    mean = filled.mean()
    rest = filled - of_prompt - of_seed + mean
    free = prompts - 1, seeds - 1, max(1, (prompts - 1) * (seeds - 1) - missing)
    a = seeds * float(((of_prompt - mean) ** 2).sum()) / free[0]
    b = prompts * float(((of_seed - mean) ** 2).sum()) / free[1]
    c = float((rest**2).sum()) / free[2]
    total, doubt = a + max(b - c, 0.0), a**2 / free[0]
    if b > c:
        doubt += b**2 / free[1] + c**2 / free[2]
    return total / (prompts * seeds), total**2 / doubt


def _filled(d: Array) -> tuple[Array, int]:
    """d with its gaps at prompt + seed (Yates 1933), so that they add nothing to the rest; and how many there were."""
    gaps = np.isnan(d)
    filled = np.where(gaps, np.nanmean(d, axis=1, keepdims=True), d)
    for _ in range(50 if gaps.any() else 0):
        fit = filled.mean(1, keepdims=True) + filled.mean(0, keepdims=True) - filled.mean()
        filled = np.where(gaps, fit, d)
    return filled, int(gaps.sum())


def _symmetric(t: Any, skewness: float) -> Any:
    """Z of T: what is left of T when the skewness of the mean is taken out."""
    return t + skewness * t**2 / 3 + skewness**2 * t**3 / 27 + skewness / 6


def _skewed(z: Any, skewness: float) -> Any:
    """T of Z."""
    if abs(skewness) < 1e-6:  # the limit, where the quotient would be lost in rounding
        return z
    return 3 / skewness * (np.cbrt(1 + skewness * (z - skewness / 6)) - 1)
