"""A small world for comparisons: an exact model that counts and can be interrupted, and a reward anybody can compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from noisekit.models.analytic import AnalyticModel
from noisekit.rewards import Reward

PROMPTS = ["a red circle", "two blue squares", "a green triangle and a red square"]
SELECTION = "selection(candidates=3, round_trip_steps=2)"
COSINE = "cosine(steps=2, round_trip_steps=2)"


class Brightness(Reward):
    """A third party's reward: the mean of the preprocessed pixels."""

    name = "brightness"
    version = "mean"
    reads_prompt = False
    bounds = (-3.0, 3.0)
    family = "none"

    def score(self, pixels: Tensor, prompts: Sequence[str]) -> Tensor:
        return pixels.mean((1, 2, 3))


class Glow(Reward):
    """A pairwise reward of the same score."""

    name = "glow"
    version = "mean, paired"
    reads_prompt = False
    pairwise = True
    bounds = (-3.0, 3.0)
    family = "none"

    def score(self, pixels: Tensor, prompts: Sequence[str]) -> Tensor:
        return pixels.mean((1, 2, 3))


class CountingModel(AnalyticModel):
    """The analytic model, keeping the size of every batch that it decodes; the `stop_at`-th is interrupted."""

    def __init__(self, stop_at: int | None = None, **settings: Any) -> None:
        super().__init__(**{"size": 32, "steps": 2, "guidance": 1.0} | settings)
        self.batches: list[int] = []
        self.stop_at = stop_at

    def decode(self, latents: Tensor) -> Tensor:
        self.batches.append(len(latents))
        if len(self.batches) == self.stop_at:
            raise KeyboardInterrupt
        return super().decode(latents)
