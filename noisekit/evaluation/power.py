"""How small a difference could have been found, and how many prompts the one that was seen would take.

    power(δ) = P(|T'| > t),  T' noncentral t at f degrees of freedom and noncentrality δ/s,  t = t_f(1 − α/2)
    detectable difference = the δ > 0 with power(δ) = .8
    prompts needed = the P' with power(m) = .8, where s is s·√(P/P') and f is P' − 1

with m, s and f of the paired differences of P prompts (see `noisekit.evaluation.intervals`). For many prompts the detectable
difference is 2.80·s, and P (2.80·s/m)² prompts are needed. m flatters where it is the largest of many, and P' is a least.
"""

from __future__ import annotations

import math
from bisect import bisect_left

import numpy as np

from noisekit.evaluation.intervals import Estimate

#: Prompts beyond which a difference is as good as none.
MOST_PROMPTS = 1_000_000
#: Parts into which the differences are divided that are looked through.
FINE = 2**40


def detectable(found: Estimate, power: float = 0.8, level: float = 0.95) -> float:
    """The true difference that a sample of this size and spread finds with probability `power`; NaN where unknown."""
    from scipy.special import stdtrit  # slow to import, and a listing asks for no power

    if not found.error > 0:
        return math.nan
    step = (2 * float(stdtrit(found.freedom, (1 + level) / 2)) + 1) / FINE
    steps = bisect_left(range(FINE), power, key=lambda many: _power(step * many, found.freedom, level))
    return found.error * step * steps


def needed(found: Estimate, prompts: int, power: float = 0.8, level: float = 0.95) -> float:
    """How many prompts find a true difference as large as the one that `prompts` showed, with probability `power`.

    Infinite beyond `MOST_PROMPTS`; NaN where the spread is unknown. Every prompt is taken to have noises of its own.
    """
    if not found.error > 0:
        return math.nan

    def reached(count: int) -> float:
        return _power(abs(found.mean) / found.error * math.sqrt(count / prompts), count - 1, level)

    count = bisect_left(range(MOST_PROMPTS + 1), power, 2, key=reached)
    return float(count) if count <= MOST_PROMPTS else math.inf


def _power(shift: float, freedom: float, level: float) -> float:
    """How likely a difference of `shift` standard errors is found."""
    from scipy.special import nctdtr, stdtrit

    edge = float(stdtrit(freedom, (1 + level) / 2))
    below = np.nan_to_num(nctdtr(freedom, shift, [edge, -edge]))  # NaN stands for tails as good as nothing
    return 1 - float(below[0] - below[1])
