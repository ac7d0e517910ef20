"""Is a difference more than chance, by tests that assume less, and when many differences are asked about at once?

    Wilcoxon signed-rank   do prompts' mean differences lie as far above 0 as below?      one observation a prompt
    Holm (1979)            p'_(i) = max over j ≤ i of min(1, (m − j + 1)·p_(j)),  p_(1) ≤ … ≤ p_(m)

Under Holm the chance of one false claim or more among m tests is at most the level, however the tests depend on each other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from noisekit.evaluation.intervals import Array

#: Prompts up to which every choice of signs is counted, and where some differ by the same.
EXACT, EXACT_TIES = 50, 13


def wilcoxon_p(d: Array) -> float:
    """Wilcoxon's signed-rank test on the prompts' means of d (prompts, seeds); prompts without a difference are left out.

    As `scipy.stats.wilcoxon` has it, which takes half a second to import: over all choices of signs where prompts are few,
    else by the normal distribution. NaN where no prompt has a difference.
    """
    from scipy.special import ndtr  # slow to import, and a listing needs no test

    of_prompt = np.nanmean(d, axis=1) if d.size else np.empty(0)
    moved = of_prompt[of_prompt != 0]
    n = len(moved)
    if not n:
        return np.nan
    _, place, ties = np.unique(np.abs(moved), return_inverse=True, return_counts=True)
    twice = (2 * np.cumsum(ties) - ties + 1)[place]  # ranks, halves where prompts share them
    above = int(twice[moved > 0].sum())
    if n <= (EXACT if len(ties) == n else EXACT_TIES):
        signs = np.ones(1)  # how many of the choices of signs give each sum
        for rank in twice:
            signs = np.pad(signs, (0, rank)) + np.pad(signs, (rank, 0))
        return min(1.0, 2 * float(min(signs[: above + 1].sum(), signs[above:].sum()) / 2.0**n))
    variance = (n * (n + 1) * (2 * n + 1) - (ties**3 - ties).sum() / 2) / 24
    return 2 * float(ndtr(-abs(above / 2 - n * (n + 1) / 4) / np.sqrt(variance)))


def holm(p: ArrayLike) -> Array:
    """p-values of a family of tests, adjusted so that claims at a level are wrong at most that often; NaN is no member."""
    values = np.asarray(p, dtype=float)
    order = np.argsort(values)  # NaN last
    order = order[: np.count_nonzero(~np.isnan(values))]
    adjusted = np.full(len(values), np.nan)
    steps = values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
