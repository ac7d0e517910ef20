"""Win rates: on which share of the votes a method was preferred, and how sure that share is.

    y         1 where it was preferred, 0 where the other was, ½ where neither (a tie, or both bad)
    rate r    = mean of y
    n         = r(1 − r) / s²                     votes that would say as much, each by another voter on another prompt
    interval  = (r + z²/2n ± z√(r(1 − r)/n + z²/4n²)) / (1 + z²/n)                 Wilson (1927)

with s² as prompts and voters are drawn (`vote.clusters`). z is Student's quantile at f degrees of freedom in the interval
that is made once, when all votes are in. Whoever looks while votes come in, and stops when he likes what he sees, needs the
other one, which holds at all times together: z is then where the sequential t-test ends (Lai 1976, "On confidence
sequences"; Wang and Ramdas 2025, "Anytime-valid t-tests and confidence sequences"), with g one more than the lesser degrees
of freedom of prompts and voters, and the mean's prior as wide as one vote's deviation:

    z²        = (g − 1)(a − 1) / (1 − a/(g + 1)),   a = (√(g + 1)/α)^(2/g)         no bound where a ≥ g + 1

Votes that all say the same have no variance; each prompt then counts as one vote, or each seed where those are fewer and
prompts share their noises.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from noisekit.evaluation.intervals import Array
from noisekit.vote.clusters import Spread, spread

#: What tables say of a rate.
COLUMNS = [
    "votes",
    "prompts",
    "voters",
    "wins",
    "ties",
    "losses",
    "rate",
    "low",
    "high",
    "always_low",
    "always_high",
]


@dataclass(frozen=True)
class Rate:
    """wins, ties and losses, and how much they say; `spread` is that of r. drawn: prompts, or shared seeds if fewer."""

    wins: int
    ties: int
    losses: int
    rate: float
    prompts: int
    voters: int
    drawn: int
    spread: Spread

    @classmethod
    def of(
        cls,
        outcomes: Array,
        prompts: pd.Series | Array,
        voters: pd.Series | Array,
        seeds: pd.Series | Array | None = None,
    ) -> Rate:
        """Of votes that are worth 0 … 1, with the prompt and the voter of each.

        seeds: of the images, where all prompts had the same noises.
        """
        y = np.asarray(outcomes, dtype=float)
        (prompt, of_prompts), (voter, of_voters) = pd.factorize(prompts), pd.factorize(voters)
        rate = float(y.mean()) if len(y) else np.nan
        seed = None if seeds is None else pd.factorize(seeds)[0]
        found = spread((y - rate) / max(1, len(y)), prompt, voter, seed)
        won, lost = int((y > 0.5).sum()), int((y < 0.5).sum())
        drawn = len(of_prompts) if seed is None else min(len(of_prompts), seed.max(initial=-1) + 1)
        return cls(won, len(y) - won - lost, lost, rate, len(of_prompts), len(of_voters), int(drawn), found)

    @property
    def votes(self) -> int:
        return self.wins + self.ties + self.losses

    @property
    def effective(self) -> float:
        """n; NaN where nothing is known."""
        if not self.spread.variance > 0:
            return float(self.drawn) if self.spread.variance == 0 else np.nan
        return self.rate * (1 - self.rate) / self.spread.variance

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The interval of all votes, made once; NaN with fewer than two prompts, or too few shared seeds."""
        from scipy.special import stdtrit  # slow to import, and a listing needs no interval

        freedom = self.spread.freedom if self.spread.variance > 0 else self.drawn - 1.0
        return wilson(self.rate, self.effective, float(stdtrit(freedom, (1 + level) / 2)))

    def always(self, level: float = 0.95) -> tuple[float, float]:
        """The interval for whoever looks at any time; 0 … 1 while so few voters say nothing of people."""
        bound = boundary(self.spread.least, level) if self.spread.of_voters else np.inf
        return wilson(self.rate, self.effective, bound) if np.isfinite(bound) else (0.0, 1.0)

    def row(self) -> dict[str, float]:
        """By `COLUMNS`."""
        counts = (self.votes, self.prompts, self.voters, self.wins, self.ties, self.losses)
        return dict(zip(COLUMNS, (*counts, self.rate, *self.interval(), *self.always()), strict=True))


def wilson(rate: float, n: float, z: float) -> tuple[float, float]:
    """The interval of a rate that n votes say, z standard errors on either side."""
    centre, square = rate + z**2 / (2 * n), z**2 / (4 * n**2)
    half = z * np.sqrt(rate * (1 - rate) / n + square)
    low, high = (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)
    return float(max(low, 0.0)), float(min(high, 1.0))


def boundary(freedom: float, level: float = 0.95) -> float:
    """z of the interval that holds at all times; infinite where so few degrees of freedom say nothing, or none are known."""
    group = freedom + 1
    if not freedom > 0:
        return np.inf
    a = (np.sqrt(group + 1) / (1 - level)) ** (2 / group)
    return float(np.sqrt(freedom * (a - 1) / (1 - a / (group + 1)))) if a < group + 1 else np.inf
