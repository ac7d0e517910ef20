"""What to use within a budget: for every budget, from the least to the most that anything in the run costs.

    within(b)  = the arms of a model whose image costs b at most; searches that were watched count at each checkpoint
    advice(b)  = the best arm within(b) that is told from standard as better, else standard      see `evaluation.best`

It changes only where another arm begins to fit, so it is a list of steps. The rule is that of `noisekit pick` by one metric.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from noisekit.evaluation.best import Race, race
from noisekit.evaluation.statistics import STANDARD, prompt_mean
from noisekit.report.source import ReportedRun
from noisekit.report.tables import Line, number, signed

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Offer:
    """An arm with its mean and what its image costs, by the names in `COSTS`."""

    label: str
    mean: float
    costs: Mapping[str, float]


@dataclass(frozen=True)
class Step:
    """From this budget on, `label` is what to use; text says what it brings."""

    budget: float
    label: str
    text: str

    @property
    def price(self) -> str:
        return priced(self.budget)


#: What an image costs: the column, its unit, and its name on an axis.
COSTS: Mapping[str, tuple[str, str]] = {
    "seconds": ("s", "seconds per image"),
    "equivalents": ("denoiser equivalents", "denoiser equivalents per image"),
    "calls": ("calls", "denoiser calls per image"),
}


@dataclass(frozen=True)
class Advice:
    """All arms of one model that one metric can judge: `standard`, the race of them, and their figures."""

    metric: str
    decimals: int
    offers: Mapping[str, Offer]
    race: Race

    def steps(self, cost: str) -> list[Step]:
        """From the standard image's own cost on, where `cost` is a name of `COSTS`."""
        prices = {arm: offer.costs[cost] for arm, offer in self.offers.items()}
        found: list[Step] = []
        for budget in sorted({price for price in prices.values() if price >= prices[STANDARD]}):
            within = [arm for arm in self.race.arms if prices[arm] <= budget]
            own = self.race.among(within)
            best = own.best(STANDARD)
            step = Step(budget, self.offers[best].label, self._text(best, own, cost))
            if not found or step.label != found[-1].label:
                found.append(step)
            elif best == STANDARD:  # as far as it goes: how much it was compared with
                found[-1] = replace(step, budget=found[-1].budget)
        return found

    def _text(self, arm: str, own: Race, cost: str) -> str:
        offer, unit = self.offers[arm], COSTS[cost][0]
        spent = f"{self.metric} {number(offer.mean, self.decimals)} for {priced(offer.costs[cost])} {unit} an image"
        if arm == STANDARD:
            return spent + (
                "; nothing dearer up to there is told from it as better" if len(own.arms) > 1 else ""
            )
        table = own.against(STANDARD)[["difference", "low", "high"]]
        difference, low, high = table.loc[[arm]].to_numpy(float)[0].tolist()
        ends = f"[{signed(low, self.decimals)}, {signed(high, self.decimals)}]"
        return f"{spent}; {signed(difference, self.decimals)} {ends} over standard, told from it as better"


def advice(run: ReportedRun, lines: Sequence[Line], metric: str, table: pd.DataFrame) -> Advice | None:
    """Of one model by one metric that is no evidence for the arms that climbed it, which are left out.

    table: `run.curves()`, or `run.frame()` with a column search for metrics that curves have by their raw score alone. None
    where standard was not judged.
    """
    own = table[(table["model"] == lines[0].model) & table[metric].notna()]
    fair = [search for search in own["search"].unique() if metric not in run.optimised(search)]
    own = own[own["search"].isin(fair)]
    if STANDARD not in fair:
        return None
    short = {line.method: line.label for line in lines} | _shortened(run, own, lines)
    spent = own.reindex(columns=["method", "search", "prompt", "seed", metric, *COSTS])
    offers = {
        str(arm): Offer(
            short[str(arm)],
            prompt_mean(part, metric),
            {cost: float(part[cost].astype(float).mean()) for cost in COSTS},
        )
        for arm, part in spent.groupby("method", sort=False)
    }
    return Advice(metric, lines[0].comparisons[metric].decimals, offers, race(own, [metric], run.shared))


def priced(value: float) -> str:
    """A cost with about three digits."""
    return number(
        value, 0 if value >= 100 or value == int(value) else 1 if value >= 10 else 2 if value >= 1 else 3
    )


def _shortened(run: ReportedRun, own: pd.DataFrame, lines: Sequence[Line]) -> dict[str, str]:
    """Names of searches ended at a checkpoint: the label of the search, and where it ended."""
    arms = own[["method", "search"]].drop_duplicates()
    names = {line.method: line.label for line in lines}
    return {
        method: f"{names[search]}{method.removeprefix(search)}" if method.startswith(search) else method
        for method, search in arms.itertuples(index=False)
        if method != search
    }
