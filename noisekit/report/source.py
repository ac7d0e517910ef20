"""What a report asks of a run, and how it names the methods in it.

The report knows no store: whatever has these attributes can be shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from noisekit import registry
from noisekit.errors import BadValue
from noisekit.types import Arm, Budget

if TYPE_CHECKING:
    import pandas as pd

    from noisekit.evaluation.noise_analysis import NoiseAnalysis
    from noisekit.metrics.info import MetricInfo

STANDARD = "standard"


class ReportedVotes(Protocol):
    """Votes on a run; the number of those that count is its length."""

    def __len__(self) -> int: ...

    def rates(self) -> pd.DataFrame:
        """One row a model, question and two methods: wins, ties, losses, prompts, voters, rate, low, high, always_*."""

    def predictors(self) -> pd.DataFrame:
        """One row a question, category and metric: votes, accuracy, low, high."""


class ReportedRun(Protocol):
    """A finished or half-finished comparison; DESIGN names of columns."""

    @property
    def folder(self) -> Path: ...
    @property
    def manifest(self) -> Mapping[str, Any]: ...
    @property
    def metrics(self) -> Sequence[str]: ...
    @property
    def metric_info(self) -> Mapping[str, MetricInfo]: ...
    @property
    def arms(self) -> Mapping[str, Arm]:
        """Methods with their budgets, by the names that the tables have for them."""

    @property
    def shared(self) -> bool:
        """Whether all prompts had the same noises."""

    def frame(self) -> pd.DataFrame:
        """One row an image: model, model_name, method, prompt, kind, seed, image, metrics, calls, seconds, noise_*."""

    def traces(self) -> pd.DataFrame:
        """One row a search step of a sample: model, method, prompt, seed, step, calls, score, best, metric_*."""

    def summary(self) -> pd.DataFrame:
        """One row a model and method: per metric mean, difference to standard with interval, win, tie, loss."""

    def correlations(self) -> pd.DataFrame:
        """Spearman's correlation of metrics over images, within prompts; NaN where a metric is constant."""

    def diversity_summary(self) -> pd.DataFrame:
        """One row a model and method: diversity across seeds, its difference to standard with interval; may be empty."""

    def noise_analysis(self) -> NoiseAnalysis:
        """Spectra, coherence and singular vectors of the noises found; empty where none were recorded."""

    def tests(self) -> pd.DataFrame:
        """One row a model, suite, method and metric: p-values alone and after Holm, wins, what could have been found."""

    def bradley_terry(self) -> pd.DataFrame:
        """One row a model and method, by strength in duels on the metrics that no method on the model optimised."""

    def by_category(self) -> pd.DataFrame:
        """The summary suite by suite and category by category."""

    def curves(self) -> pd.DataFrame:
        """The frame, and searches ended at their checkpoints: search is the method that was run, method what it is there."""

    def failures(self) -> pd.DataFrame:
        """One row an image and metric that failed: model, method, suite, prompt, seed, metric, reason, attempt."""

    def settings(self) -> Mapping[tuple[str, str], Mapping[str, Any]]:
        """By model and method every resolved value behind its images, where that was recorded."""

    def optimised(self, method: str) -> frozenset[str]:
        """Metrics that the method itself climbed, or was filtered by."""

    def votes(self) -> ReportedVotes:
        """What people said of pairs of images; of length 0 where nobody did."""

    def objective(self, method: str) -> str:
        """What the method's score means."""


def labels(arms: Iterable[Arm]) -> dict[str, str]:
    """A short name for each arm, by its whole one: the bare method, with only those settings that tell namesakes apart.

    A wrapper is named with the bare names of what it wraps, "best_of(reno)", and in full where namesakes wrap the same with
    other settings. A budget stands in the short name as well.
    """
    read = {arm: expression_of(arm) for arm in arms}
    namesakes: dict[str, list[registry.Expression]] = defaultdict(list)
    for one in read.values():
        namesakes[_bare(one)].append(one)
    result = {}
    for arm, one in read.items():
        others = namesakes[_bare(one)]
        telling = {k: v for k, v in one.settings.items() if any(o.settings.get(k, o) != v for o in others)}
        alike = all(o.wrapped == one.wrapped for o in others)
        wrapped = [registry.parse(inner).name for inner in one.wrapped] if alike else one.wrapped
        result[str(arm)] = str(replace(arm, method=registry.render(one.name, telling, wrapped)))
    return result


def limits(budget: Budget) -> dict[str, float]:
    """What a budget limits, by the names that plans use."""
    return {name: limit for name, limit in asdict(budget).items() if limit is not None}


def expression_of(arm: Arm) -> registry.Expression:
    """The method of an arm as name and settings."""
    try:
        return registry.parse(arm.method)
    except BadValue:  # a method of somebody else's making is its own name
        return registry.Expression(arm.method, {})


def _bare(one: registry.Expression) -> str:
    """The expression without settings, such as "then(npnet, reno)"."""
    return registry.render(one.name, {}, [registry.parse(inner).name for inner in one.wrapped])
