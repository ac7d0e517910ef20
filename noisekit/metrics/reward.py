"""A reward as a metric: its 8-bit path, one column, which is `<name>_score` where the reward is pairwise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, final

from torch import Tensor

from noisekit.metrics.base import Metric
from noisekit.metrics.info import MetricInfo
from noisekit.prompts import Prompt
from noisekit.rewards import Reward


@final
class JudgedReward(Metric):
    """What a reward says when nobody climbs it."""

    def __init__(self, reward: Reward) -> None:
        self.reward, self.reads_prompt = reward, reward.reads_prompt
        self._info = info_of(reward)

    @property
    def info(self) -> MetricInfo:
        return self._info

    @property
    def identity(self) -> Mapping[str, Any]:
        return self.reward.identity

    def score(self, images: Tensor, prompts: Sequence[Prompt]) -> Tensor:
        return self.reward.judge(images, [prompt.text for prompt in prompts]).unsqueeze(1)

    def cut(self, prompts: Sequence[str]) -> list[int]:
        return self.reward.cut(prompts)


def info_of(reward: Reward) -> MetricInfo:
    """The facts of a reward that serves as a metric."""
    low, high, tie = *reward.bounds, reward.tie
    if reward.pairwise:
        low, high, tie = 0.0, 1.0, 1 / (1 + math.exp(-tie)) - 0.5
    return MetricInfo(
        name=reward.name,
        version=reward.version if reward.precision == "float32" else f"{reward.version}, {reward.precision}",
        weights=reward.weights,
        family=reward.family,
        low=low,
        high=high,
        tie=tie,
        pairwise=reward.pairwise,
    )
