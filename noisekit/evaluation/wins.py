"""Win rates: on how many prompts a method was better, how sure that share is, and whether chance would do.

    r    = mean over seeds of the paired difference           a win where r > tie, a loss where r < −tie, else a tie
    rate = wins / n,  n = wins + losses                       0 … 1
    interval = (rate + z²/2n ± z·√(rate·(1 − rate)/n + z²/4n²)) / (1 + z²/n)                      Wilson (1927)
    p    = 2·P(X ≥ max(wins, losses)), X binomial(n, ½), at most 1         the sign test

A prompt counts once, whatever the number of its seeds: its images are alike, and counted one by one they would feign more
evidence than there is. Ties say nothing about who is better, so both the rate and the test leave them out. 60 wins of
100 prompts: rate .502 … .691, and p = .057.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from noisekit.evaluation.intervals import Array
from noisekit.evaluation.significance import holm
from noisekit.evaluation.statistics import differences

COLUMNS = [
    "model",
    "method",
    "other",
    "wins",
    "ties",
    "losses",
    "rate",
    "low",
    "high",
    "p",
    "p_holm",
    "family",
]


@dataclass(frozen=True)
class Wins:
    """How many prompts a method won, tied and lost."""

    wins: int
    ties: int
    losses: int

    @property
    def decided(self) -> int:
        return self.wins + self.losses

    @property
    def rate(self) -> float:
        """The share of the decided prompts that were won, NaN where none was decided."""
        return self.wins / self.decided if self.decided else np.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the rate."""
        return self.within(0.95)

    def within(self, level: float) -> tuple[float, float]:
        """Wilson's interval of the rate; NaN where no prompt was decided."""
        if not self.decided:
            return np.nan, np.nan
        from scipy.special import ndtri  # slow to import, and a listing needs no interval

        n, z = self.decided, float(ndtri((1 + level) / 2))
        middle, reach = n * self.rate + z**2 / 2, z * np.sqrt(n * self.rate * (1 - self.rate) + z**2 / 4)
        low = (middle - reach) / (n + z**2) if self.wins else 0.0
        high = (middle + reach) / (n + z**2) if self.losses else 1.0
        return float(low), float(high)

    @property
    def p(self) -> float:
        """How likely a rate as far from one half is by chance: the sign test."""
        from scipy.special import bdtr

        fewer = min(self.wins, self.losses)
        return min(1.0, 2 * float(bdtr(fewer, self.decided, 0.5))) if self.decided else np.nan


def wins(d: Array, tie: float = 0.0) -> Wins:
    """Prompts won, tied and lost by paired differences d (prompts, seeds), NaN where an image is missing."""
    of_prompt = np.nanmean(d, axis=1) if d.size else np.empty(0)
    won, lost = int((of_prompt > tie).sum()), int((of_prompt < -tie).sum())
    return Wins(won, len(of_prompt) - won - lost, lost)


def duels(frame: pd.DataFrame, metric: str, tie: float = 0.0, shared: bool = False) -> pd.DataFrame:
    """One row per (model, method, other), every two methods of a model once; columns: `COLUMNS`.

    From a frame with one row an image. p_holm: p adjusted over all duels of the model, of which family is the number: asked
    one by one, the 45 duels of ten methods that do not differ would tell some apart more often than not. Where all prompts
    had the same noises they are no independent witnesses, and a rate has neither interval nor p.
    """
    rows = []
    for model, own in frame.groupby("model", sort=False):
        for method, other in combinations(own["method"].unique(), 2):
            one, two = own[own["method"] == method], own[own["method"] == other]
            won = wins(differences(one, two, metric), tie)
            sure = (np.nan, np.nan, np.nan) if shared else (*won.interval, won.p)
            rows.append((model, method, other, won.wins, won.ties, won.losses, won.rate, *sure))
    table = pd.DataFrame(rows, columns=COLUMNS[:-2])
    of_model = table.groupby("model", sort=False)["p"]
    return table.assign(p_holm=of_model.transform(holm), family=of_model.transform("count").astype(int))
