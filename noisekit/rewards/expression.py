"""Weighted sums of rewards, written as "clip_score:0.01 + aesthetic:0.3": R = Σ_k c_k · R_k."""

from __future__ import annotations

import math

from noisekit.errors import BadValue, unknown
from noisekit.registry import REWARDS, shortened

EXAMPLE = "write it as 'clip_score:0.01 + aesthetic:0.3'"


def parse_coefficients(expression: str) -> dict[str, float]:
    """Reward names and their coefficients, in the order written; that of a name alone is 1.

    Raises `BadValue` on unknown or repeated rewards and on coefficients that are not finite numbers other than 0.
    """
    if not isinstance(expression, str) or not expression.strip():
        raise BadValue(f"rewards={expression!r} names no reward; {EXAMPLE}")
    coefficients: dict[str, float] = {}
    for term in expression.split("+"):
        name, colon, number = (part.strip() for part in term.partition(":"))
        if not name:
            raise BadValue(f"rewards={shortened(expression)!r} has a term without a name; {EXAMPLE}")
        if name not in REWARDS:
            raise unknown("reward", shortened(name), REWARDS)
        if name in coefficients:
            raise BadValue(
                f"rewards={shortened(expression)!r} names {name!r} twice; add the two coefficients up"
            )
        coefficients[name] = _coefficient(name, number) if colon else 1.0
    return coefficients


def _coefficient(name: str, number: str) -> float:
    try:
        coefficient = float(number)
    except ValueError:
        coefficient = math.nan
    if not math.isfinite(coefficient) or coefficient == 0:
        raise BadValue(
            f"coefficient {shortened(number)!r} of reward {name!r} is not a number other than 0; {EXAMPLE}"
        )
    return coefficient
