"""Is a difference more than chance, by tests that assume less, and when many differences are asked about at once?

    Wilcoxon signed-rank   do prompts' mean differences lie as far above 0 as below?      one observation a prompt
    Holm (1979)            p'_(i) = max over j ≤ i of min(1, (m − j + 1)·p_(j)),  p_(1) ≤ … ≤ p_(m)

Under Holm the chance of one false claim or more among m tests is at most the level, however the tests depend on each other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from noisekit.evaluation.intervals import Array


def wilcoxon_p(d: Array) -> float:
    """Wilcoxon's signed-rank test on the prompts' means of d (prompts, seeds); prompts without a difference are left out.

    NaN where there is none with a difference.
    """
    from scipy.stats import wilcoxon  # half a second of import, which looking at a run need not wait for

    of_prompt = np.nanmean(d, axis=1) if d.size else np.empty(0)
    moved = of_prompt[of_prompt != 0]
    return float(wilcoxon(moved).pvalue) if len(moved) else np.nan


def holm(p: ArrayLike) -> Array:
    """p-values of a family of tests, adjusted so that claims at a level are wrong at most that often; NaN is no member."""
    values = np.asarray(p, dtype=float)
    order = np.argsort(values)  # NaN last
    order = order[: np.count_nonzero(~np.isnan(values))]
    adjusted = np.full(len(values), np.nan)
    steps = values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
