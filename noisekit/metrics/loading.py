"""Metrics by name: rewards, those that come with noisekit besides, and those of installed packages."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from noisekit import registry
from noisekit.errors import BadValue
from noisekit.metrics.base import Metric
from noisekit.metrics.reward import JudgedReward
from noisekit.prompts import Prompt
from noisekit.rewards import Precision, Reward, check_weights, load_reward


def load_metric(
    name: str, weights: str = "tiny", device: str | torch.device = "cpu", dtype: Precision = "float32"
) -> Metric:
    """Load a metric.

    Args:
        name: A reward, or what else `noisekit list metrics` shows.
        weights: "tiny", "published", or a path, as for `load_reward`.
        device: Where its networks run.
        dtype: What they compute in: "float32", "float16" or "bfloat16".

    Returns:
        The metric: `metric(images, prompts)` gives one row an image, one column each for `metric.info.columns`.

    Raises:
        BadValue: The name is unknown, or a package declares something else by it.
        NotSupported: The metric has no such weights.
        CorruptWeights: Its files are missing or damaged.
    """
    cls = _class(name)
    if issubclass(cls, Reward):
        return JudgedReward(load_reward(name, weights, device, dtype))
    metric = cls.load(weights, device, dtype)
    if metric.info.name != name:
        raise BadValue(
            f"metric {name!r} is a {cls.__name__}, which calls itself {metric.info.name!r}; its package has to give both "
            "the entry point and the metric's info the same name"
        )
    return metric


def check_metrics(names: Sequence[str], weights: str) -> None:
    """Raise what loading those that are rewards would raise for want of files, before any is loaded and all at once."""
    check_weights([name for name in names if issubclass(_class(name), Reward)], weights)


def applicable(names: Sequence[str], prompts: Sequence[Prompt]) -> list[str]:
    """Those of some metrics that have something to say of one prompt at least."""
    return [
        name for name in names if issubclass(cls := _class(name), Reward) or any(map(cls.applies, prompts))
    ]


def _class(name: str) -> type[Metric] | type[Reward]:
    cls = registry.load("metric", name, registry.METRICS)
    if not (isinstance(cls, type) and issubclass(cls, Metric | Reward)):
        raise BadValue(
            f"metric {name!r} is {registry.printed(cls)}, which is no class of metrics; let it inherit from noisekit.Metric"
        )
    return cls
