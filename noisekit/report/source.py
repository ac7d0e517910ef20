"""What a report asks of a run, and how it names the methods in it.

The report knows no store: whatever has these attributes can be shown.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from noisekit import registry
from noisekit.errors import BadValue

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
    def shared(self) -> bool:
        """Whether all prompts had the same noises."""

    def frame(self) -> pd.DataFrame:
        """One row an image: model, method, prompt, kind, unseen, seed, image, metrics, calls, seconds, noise_*."""

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


def labels(methods: Sequence[str]) -> dict[str, str]:
    """A short name for each resolved method: its bare name, with only those settings that tell namesakes apart.

    A wrapper is named with the bare names of what it wraps, "best_of(reno)", and in full where namesakes wrap the same with
    other settings. A method under a budget is written "method @ 10 calls", and keeps the budget in its short name.
    """
    read = {method: parsed(method) for method in dict.fromkeys(methods)}
    namesakes: dict[str, list[registry.Expression]] = defaultdict(list)
    for one, _ in read.values():
        namesakes[_bare(one)].append(one)
    result = {}
    for method, (one, budget) in read.items():
        others = namesakes[_bare(one)]
        telling = {k: v for k, v in one.settings.items() if any(o.settings.get(k, o) != v for o in others)}
        alike = all(o.wrapped == one.wrapped for o in others)
        wrapped = [registry.parse(inner).name for inner in one.wrapped] if alike else one.wrapped
        result[method] = registry.render(one.name, telling, wrapped) + budget
    return result


def name_of(method: str) -> str:
    """The bare name of a resolved method, "reno" of "reno(steps=10) @ 10 calls"."""
    return parsed(method)[0].name


def limits(budget: str) -> dict[str, float]:
    """The budget behind a method, " @ 2s, 10 calls", by the names that plans use: seconds, calls, candidates."""
    read = re.findall(r"([\d.e+-]+) ?(s|calls|candidates)(?=,|$)", budget)
    return {"seconds" if unit == "s" else unit: float(number) for number, unit in read}


def _bare(one: registry.Expression) -> str:
    """The expression without settings, such as "then(npnet, reno)"."""
    return registry.render(one.name, {}, [registry.parse(inner).name for inner in one.wrapped])


def parsed(method: str) -> tuple[registry.Expression, str]:
    """The expression of a resolved method and what it says of a budget, " @ 10 calls" or ""."""
    text, at, limits = method.partition(" @ ")
    try:
        return registry.parse(text), at + limits
    except BadValue:  # a method of somebody else's making is its own name
        return registry.Expression(method, {}), ""
