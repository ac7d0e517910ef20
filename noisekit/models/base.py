"""What a method may ask of a text-to-image model.

    latents = sample(ε, c)        from unit-variance noise ε (B, C, h, w) and prompts c to clean latents
    images  = decode(latents)     to (B, 3, H, W) in [0, 1]
    u       = predict(x, t, c, ω) the network's raw prediction at state x and timestep t, with guidance
                                  u = u(∅) + ω·(u(c) − u(∅))

ε always has unit variance: whatever scale a scheduler starts from is applied inside `sample`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor

from noisekit import registry
from noisekit.errors import NotSupported
from noisekit.models.cards import Card, changed_settings
from noisekit.solvers.base import Grid
from noisekit.types import Cost


class Marker(StrEnum):
    """What a model can do beyond sampling; methods name the markers that they need."""

    INVERTIBLE = "invertible"  # `grid` and `predict` allow a round trip noise → latents → noise
    DIFFERENTIABLE = "differentiable"  # `sample` and `decode` carry a gradient to the noise
    ONE_STEP = "one-step"  # `sample` evaluates the network once


@dataclass(frozen=True, eq=False)
class Conditioning:
    """Encoded prompts: `positive` (B, L, D) and what stands for no prompt, `negative` (1, L, D).

    added: what a family's network takes besides, such as pooled embeddings or masks: by name, the prompts' (B, …) and that
    of no prompt (1, …), or None where no prompt is told the same as the prompt.
    """

    positive: Tensor
    negative: Tensor
    added: Mapping[str, tuple[Tensor, Tensor | None]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.positive)

    def repeat(self, times: int) -> Conditioning:
        """The whole batch `times` times over: sample i of copy k stands at k·B + i."""

        def copies(tensor: Tensor) -> Tensor:
            return tensor.repeat(times, *[1] * (tensor.dim() - 1))

        return Conditioning(
            copies(self.positive), self.negative, {k: (copies(p), n) for k, (p, n) in self.added.items()}
        )

    def split(self, size: int) -> Iterator[Conditioning]:
        """Consecutive batches of at most `size` samples."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            added = {name: (p[part], n) for name, (p, n) in self.added.items()}
            yield Conditioning(self.positive[part], self.negative, added)

    @property
    def with_prompt(self) -> dict[str, Tensor]:
        """What the network takes without guidance, (B, …) each; the prompts' embeddings are called "text"."""
        return {"text": self.positive} | {name: p for name, (p, _) in self.added.items()}

    @property
    def without_and_with(self) -> dict[str, Tensor]:
        """What the network takes under guidance, (2B, …) each: B times no prompt, then the prompts."""
        pairs = {"text": (self.positive, self.negative), **self.added}
        return {name: torch.cat([p if n is None else n.expand_as(p), p]) for name, (p, n) in pairs.items()}


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
        """The time grid of `steps` steps of the model's own ODE, spaced as its scheduler's configuration says."""

    def sampler_grid(self, steps: int) -> Grid:
        """The time grid on which `sample` itself walks: its sampler's timesteps and levels."""
        return self.grid(steps)

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
    def parameters(self) -> int:
        """How many numbers the denoiser holds: what a thread's worth is judged by."""
        return 0

    @property
    def label(self) -> str:
        """The name with the settings that differ from the card's, as `load_model` reads it: "tiny(steps=20)"."""
        return registry.render(self.name, changed_settings(self.card))

    @property
    def call_kwargs(self) -> dict[str, Any]:
        """Keyword arguments with which the model's own pipeline repeats `decode(sample(noise))`."""
        return {}

    def pipe_latents(self, noise: Tensor) -> Tensor:
        """Noise (B, C, h, w) in the layout and type that the `latents` argument of the model's own pipeline takes."""
        return noise

    def sample_cost(self, steps: int | None = None) -> Cost:
        """The cost of one image: `steps` guided predictions and one decoding."""
        return self.predict_cost(self.card.guidance) * (steps or self.card.steps) + Cost(decoder=1)

    def predict_cost(self, guidance: float) -> Cost:
        """One prediction: two evaluations under guidance, one without (guidance 0 or 1)."""
        return Cost(denoiser=2 if self.doubles(guidance) else 1)

    def doubles(self, guidance: float) -> bool:
        """Whether a prediction at this guidance takes two evaluations; not where the network itself is told the scale."""
        return guided(guidance)

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
