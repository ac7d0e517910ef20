"""How small a difference could have been found: what a comparison without a finding is worth.

    power(δ) = P(|T'| > t),  T' noncentral t at f degrees of freedom and noncentrality δ/s,  t = t_f(1 − α/2)
    detectable difference = the δ > 0 with power(δ) = .8

with s and f of the paired differences (see `noisekit.evaluation.intervals`): for many prompts 2.80·s.
"""

from __future__ import annotations

import math

from noisekit.evaluation.intervals import Estimate


def detectable(found: Estimate, power: float = 0.8, level: float = 0.95) -> float:
    """The true difference that a sample of this size and spread finds with probability `power`; NaN where unknown."""
    from scipy.optimize import brentq  # slow to import, and only reports ask
    from scipy.special import nctdtr, stdtrit

    if not found.error > 0:
        return math.nan
    edge = float(stdtrit(found.freedom, (1 + level) / 2))

    def missing(shift: float) -> float:
        within = nctdtr(found.freedom, shift, edge) - nctdtr(found.freedom, shift, -edge)
        return 1 - float(within) - power

    return found.error * float(brentq(missing, 0.0, 2 * edge + 1))
