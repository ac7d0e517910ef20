"""How small a difference could have been found, and how many prompts the one that was seen would take.

    power(δ) = P(|T'| > t),  T' noncentral t at f degrees of freedom and noncentrality δ/s,  t = t_f(1 − α/2)
    detectable difference = the δ > 0 with power(δ) = .8
    prompts needed = the P' with power(m) = .8, where s is s·√(P/P') and f is P' − 1

with m, s and f of the paired differences of P prompts (see `noisekit.evaluation.intervals`). For many prompts the detectable
difference is 2.80·s, and P (2.80·s/m)² prompts are needed. m flatters where it is the largest of many, and P' is a least.
"""

from __future__ import annotations

import math

import numpy as np

from noisekit.evaluation.intervals import Estimate

#: Prompts beyond which a difference is as good as none.
MOST_PROMPTS = 1_000_000


def detectable(found: Estimate, power: float = 0.8, level: float = 0.95) -> float:
    """The true difference that a sample of this size and spread finds with probability `power`; NaN where unknown."""
    from scipy.optimize import brentq  # slow to import, and only reports ask
    from scipy.special import stdtrit

    if not found.error > 0:
        return math.nan
    edge = float(stdtrit(found.freedom, (1 + level) / 2))

    def missing(shift: float) -> float:
        return power - _power(shift, found.freedom, level)

    return found.error * float(brentq(missing, 0.0, 2 * edge + 1))


def needed(found: Estimate, prompts: int, power: float = 0.8, level: float = 0.95) -> float:
    """How many prompts find a true difference as large as the one that `prompts` showed, with probability `power`.

    Infinite beyond `MOST_PROMPTS`; NaN where the spread is unknown. Every prompt is taken to have noises of its own.
    """
    from scipy.optimize import brentq

    if not found.error > 0:
        return math.nan

    def missing(log_prompts: float) -> float:
        count = math.exp(log_prompts)
        shift = abs(found.mean) / found.error * math.sqrt(count / prompts)
        return power - _power(shift, count - 1, level)

    fewest, most = math.log(2), math.log(MOST_PROMPTS)
    if missing(most) > 0:
        return math.inf
    if missing(fewest) <= 0:
        return 2.0
    return float(math.ceil(math.exp(brentq(missing, fewest, most, xtol=1e-4))))


def _power(shift: float, freedom: float, level: float) -> float:
    """How likely a difference of `shift` standard errors is found."""
    from scipy.special import nctdtr, stdtrit

    edge = float(stdtrit(freedom, (1 + level) / 2))
    below = np.nan_to_num(nctdtr(freedom, shift, [edge, -edge]))  # NaN stands for tails as good as nothing
    return 1 - float(below[0] - below[1])
