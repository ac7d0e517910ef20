"""The numbers of a report as text: who did how well, against standard, at what cost, in which order.

Differences are paired with the standard image of the same prompt and seed. A verdict is given only where the 95 % interval
leaves 0 out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from noisekit.evaluation.held_out import held_out
from noisekit.evaluation.ranks import Ranks, ranks
from noisekit.report.source import STANDARD, ReportedRun, labels
from noisekit.types import Arm

if TYPE_CHECKING:
    import pandas as pd

DASH = "–"
DAGGER = "†"


@dataclass(frozen=True)
class Comparison:
    """One method on one metric. Figures are NaN where there is nothing to compare."""

    metric: str
    mean: float
    difference: float
    low: float
    high: float
    win: float
    tie: float
    loss: float
    optimised: bool
    decimals: int

    @property
    def verdict(self) -> Literal["better", "worse", "open", "none"]:
        """Whether the interval lies above 0, below it or around it (or nobody knows); "none" for standard itself."""
        if math.isnan(self.difference):
            return "none"
        return "better" if self.low > 0 else "worse" if self.high < 0 else "open"

    @property
    def mean_text(self) -> str:
        return number(self.mean, self.decimals)

    @property
    def difference_text(self) -> str:
        return signed(self.difference, self.decimals)

    @property
    def interval_text(self) -> str:
        if math.isnan(self.low):
            return ""
        return f"[{signed(self.low, self.decimals)}, {signed(self.high, self.decimals)}]"

    @property
    def outcomes_text(self) -> str:
        """Win / tie / loss in per cent of pairs."""
        if math.isnan(self.win):
            return DASH
        return " / ".join(f"{100 * share:.0f}" for share in (self.win, self.tie, self.loss))


@dataclass(frozen=True)
class Line:
    """One method on one model.

    equivalents: NaN where operations were not counted. diversity: of its images across seeds, None where it was
    not measured.
    """

    model: str
    method: str
    arm: Arm
    label: str
    objective: str
    images: int
    prompts: int
    calls: float
    equivalents: float
    seconds: float
    comparisons: Mapping[str, Comparison]
    diversity: Comparison | None

    @property
    def optimised(self) -> list[str]:
        """The metrics that it had a hand in."""
        return [metric for metric, one in self.comparisons.items() if one.optimised]

    @property
    def is_standard(self) -> bool:
        return self.method == STANDARD

    @property
    def calls_text(self) -> str:
        return number(self.calls, 0 if float(self.calls).is_integer() else 1)

    @property
    def equivalents_text(self) -> str:
        return number(self.equivalents, 0 if self.equivalents >= 100 else 1)

    @property
    def seconds_text(self) -> str:
        return number(self.seconds, 3 if self.seconds < 1 else 2 if self.seconds < 10 else 1)


@dataclass(frozen=True)
class Ranking:
    """models: lines by model, standard first, the others from best to worst: by the gain in ground truth where there is
    one, else by the mean rank over the metrics that no method on that model optimised.

    metrics: those that scored anything; first the ones that no method in the run optimised, the ground truth before all.
    truth: the metric that is the ground truth, if one of them is. ranks: by model, over all metrics but the truth; a model
    with nothing to rank is missing.
    """

    models: Mapping[str, Sequence[Line]]
    metrics: Sequence[str]
    truth: str | None
    ranks: Mapping[str, Ranks]

    @property
    def lines(self) -> list[Line]:
        return [line for lines in self.models.values() for line in lines]

    def held_out(self, model: str) -> list[str]:
        """The metrics that no method shown on a model optimised."""
        return held_out(self.metrics, [line.optimised for line in self.models[model]])


def ranking(run: ReportedRun) -> Ranking:
    """The summary of a run, read once: its intervals take seconds for large runs."""
    frame, summary = run.frame(), run.summary()
    names = labels(run.arms[method] for method in summary["method"])
    climbed = frozenset[str]().union(*(run.optimised(method) for method in names))
    metrics = [metric for metric in run.metrics if summary[metric].notna().any()]
    truth = next((metric for metric in metrics if run.metric_info[metric].ground_truth), None)
    metrics.sort(key=lambda metric: (metric in climbed, metric != truth))
    places = decimals(frame, summary, metrics)
    spreads = _diversities(run.diversity_summary())
    models: dict[str, list[Line]] = {}
    for row in summary.to_dict("records"):
        method, optimised = row["method"], run.optimised(row["method"])
        line = Line(
            model=row["model"],
            method=method,
            arm=run.arms[method],
            label=names[method],
            objective=run.objective(method),
            images=int(row["n_images"]),
            prompts=int(row["n_prompts"]),
            calls=float(row["calls"]),
            equivalents=float(row.get("equivalents", math.nan)),
            seconds=float(row["seconds"]),
            comparisons={m: _comparison(row, m, m in optimised, places[m]) for m in metrics},
            diversity=spreads.get((row["model"], method)),
        )
        models.setdefault(line.model, []).append(line)
    rewards = [metric for metric in metrics if metric != truth]
    found = {model: ranks(frame[frame["model"] == model], rewards, run.shared) for model in models}
    ranked = {model: one for model, one in found.items() if one is not None}
    for model, lines in models.items():
        order = _order(lines, metrics, truth, ranked.get(model))
        lines.sort(key=lambda line: (not line.is_standard, order.get(line.method, math.inf)))
    return Ranking(models, metrics, truth, ranked)


def _order(
    lines: Sequence[Line], metrics: Sequence[str], truth: str | None, ranked: Ranks | None
) -> dict[str, float]:
    """What the lines of a model are sorted by, the lowest first; a method without it comes last."""
    outside = held_out(metrics, [line.optimised for line in lines])
    judges = [metric for metric in outside if ranked and metric in ranked.metrics]
    if ranked and judges and truth not in outside:
        return {str(method): rank for method, rank in ranked.of(judges)["rank"].items()}
    gains = {line.method: line.comparisons[m].difference for m in metrics[:1] for line in lines}
    return {method: -gain for method, gain in gains.items() if not math.isnan(gain)}


def _comparison(row: Mapping[Any, Any], metric: str, optimised: bool, places: int) -> Comparison:
    parts = ("difference", "low", "high", "win", "tie", "loss")
    figures = {part: float(row[f"{metric}_{part}"]) for part in parts}
    return Comparison(metric=metric, mean=float(row[metric]), optimised=optimised, decimals=places, **figures)


def _diversities(summary: pd.DataFrame) -> dict[tuple[str, str], Comparison]:
    """Diversity across seeds by (model, method); nobody calls more of it a win."""
    nothing = dict.fromkeys(("win", "tie", "loss"), math.nan)
    found = {}
    for row in summary.to_dict("records"):
        figures = {part: float(row[f"diversity_{part}"]) for part in ("difference", "low", "high")}
        mean = float(row["diversity"])
        found[row["model"], row["method"]] = Comparison(
            "diversity", mean, **figures, **nothing, optimised=False, decimals=3
        )
    return found


def decimals(frame: pd.DataFrame, summary: pd.DataFrame, metrics: Sequence[str]) -> dict[str, int]:
    """Decimals that show a hundredth or so of a metric's spread between images, and its narrowest interval."""
    result = {}
    for metric in metrics:
        spread = float(frame[metric].astype(float).std())
        places = decimals_of(spread)
        widths = (summary[f"{metric}_high"] - summary[f"{metric}_low"]).astype(float)
        narrowest = widths[widths > 0].min()
        if narrowest > 0:
            places = max(places, min(places + 2, -math.floor(math.log10(narrowest / 2))))
        result[metric] = places
    return result


def decimals_of(spread: float) -> int:
    """Decimals that show a hundredth or so of a spread."""
    return min(5, max(0, 2 - math.floor(math.log10(spread)))) if spread > 0 else 3


def number(value: float, places: int) -> str:
    """Fixed decimals, thousands apart, a true minus sign; a dash for NaN."""
    return DASH if math.isnan(value) else f"{value:z,.{places}f}".replace("-", "−")


def signed(value: float, places: int) -> str:
    """The same with its sign."""
    return DASH if math.isnan(value) else f"{value:+z,.{places}f}".replace("-", "−")
