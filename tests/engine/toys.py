"""A small world for comparisons: an exact model that counts and can be interrupted, and a reward anybody can compute."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from noisekit.methods import NoiseMethod
from noisekit.methods.parameters import parameter
from noisekit.models import Model
from noisekit.models.analytic import AnalyticModel
from noisekit.noise import NoiseSource
from noisekit.rewards import Reward
from noisekit.types import Candidate, Cost

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


@dataclass(frozen=True)
class Mortal(NoiseMethod):
    """Standard sampling that kills its process: once, as long as there is no file `died`, and whenever it meets `fatal`."""

    died: str = parameter("the file that says that it has happened", default="")
    fatal: str = parameter("the prompt that nobody survives", default="")

    name = "mortal"

    @property
    def horizon(self) -> int:
        return 0

    def step_cost(self, model: Model) -> Cost:
        return Cost()

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        if self.fatal in prompts or not Path(self.died).exists():
            Path(self.died).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return iter(())
