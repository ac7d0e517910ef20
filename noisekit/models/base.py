"""What a method may ask of a text-to-image model.

    latents = sample(ε, c)        from unit-variance noise ε (B, C, h, w) and prompts c to clean latents
    images  = decode(latents)     to (B, 3, H, W) in [0, 1]
    u       = predict(x, t, c, ω) the network's raw prediction at state x and timestep t, with guidance
                                  u = u(∅) + ω·(u(c) − u(∅))

ε always has unit variance: whatever scale a scheduler starts from is applied inside `sample`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor

from noisekit.errors import NotSupported
from noisekit.models.cards import Card
from noisekit.solvers.base import Grid
from noisekit.types import Cost


class Marker(StrEnum):
    """What a model can do beyond sampling; methods name the markers that they need."""

    INVERTIBLE = "invertible"  # `grid` and `predict` allow a round trip noise → latents → noise
    DIFFERENTIABLE = "differentiable"  # `sample` and `decode` carry a gradient to the noise
    ONE_STEP = "one-step"  # `sample` evaluates the network once


class Conditioning:
    """Encoded prompts: `positive` (B, L, D) and the empty prompt's `negative` (1, L, D)."""

    def __init__(self, positive: Tensor, negative: Tensor) -> None:
        self.positive, self.negative = positive, negative

    def __len__(self) -> int:
        return len(self.positive)

    def repeat(self, times: int) -> Conditioning:
        """The whole batch `times` times over: sample i of copy k stands at k·B + i."""
        return Conditioning(self.positive.repeat(times, *[1] * (self.positive.dim() - 1)), self.negative)


class Model(ABC):
    """A text-to-image model behind one interface. `sample` is deterministic given noise and generators."""

    name: str
    card: Card
    noise_shape: tuple[int, int, int]
    device: torch.device
    markers: frozenset[Marker]

    @abstractmethod
    def encode(self, prompts: Sequence[str]) -> Conditioning:
        """Encode prompts; each distinct prompt is encoded once and then kept."""

    def unread(self, prompts: Sequence[str]) -> dict[str, str]:
        """The prompts that the text encoder does not read whole, with the reason."""
        return {}

    @abstractmethod
    def grid(self, steps: int) -> Grid:
        """The time grid of `steps` denoising steps that `sample` would use."""

    @abstractmethod
    def predict(self, x: Tensor, t: Tensor, conditioning: Conditioning, guidance: float) -> Tensor:
        """The raw network prediction u (B, C, h, w) at unit-variance state x and scalar timestep t."""

    @abstractmethod
    def sample(
        self,
        noise: Tensor,
        conditioning: Conditioning,
        generators: list[torch.Generator] | None = None,
        steps: int | None = None,
    ) -> Tensor:
        """Clean latents (B, C, h, w) from noise, by the model's own scheduler; `steps` defaults to the card's."""

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1]."""

    @property
    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Everything that decides the image besides prompt, noise and method: hashed into a generation's identity."""

    @property
    def call_kwargs(self) -> dict[str, Any]:
        """Keyword arguments with which the model's own pipeline repeats `decode(sample(noise))`."""
        return {}

    def sample_cost(self, steps: int | None = None) -> Cost:
        """The cost of one image: `steps` guided predictions and one decoding."""
        return self.predict_cost(self.card.guidance) * (steps or self.card.steps) + Cost(decoder=1)

    def predict_cost(self, guidance: float) -> Cost:
        """One prediction: two evaluations under guidance, one without (guidance 0 or 1)."""
        return Cost(denoiser=2 if guided(guidance) else 1)

    def require(self, method: str, needs: Sequence[Marker]) -> None:
        """Raise `NotSupported` unless the model has every marker in `needs`."""
        missing = [marker.value for marker in needs if marker not in self.markers]
        if missing:
            has = ", ".join(sorted(marker.value for marker in self.markers)) or "none"
            raise NotSupported(
                f"method {method!r} needs a model that is {' and '.join(missing)}, but {self.name!r} is not (it is: "
                f"{has}); `noisekit list models` shows which models are"
            )


def guided(guidance: float) -> bool:
    """Whether classifier-free guidance is on: diffusers turns it off at 1 and below."""
    return guidance > 1
