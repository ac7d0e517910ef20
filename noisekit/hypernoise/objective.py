"""What a noise hypernetwork minimises: rewards of the image against the distance from the noise it was given.

    L = E_{ε, c} [ ρ(Δ) − R(decode(sample(ε + Δ, c)), c) ]        Δ = f(ε, c), R = Σ_k w_k·R_k

    ρ(Δ) = ½λ·‖Δ‖²        "sum": the KL divergence of Eyring et al. 2025, arXiv 2508.09968, at λ = 1
    ρ(Δ) = ½λ·‖Δ‖²/d      "mean": what their public code computes, d times weaker (d numbers of a noise, 32,768 for SANA)

In the mean form the best Δ has a root mean square of √d·‖∇R‖/λ. The gradient of R goes through decoder and denoiser, which
stay as they are, to Δ, and from there on through f:

    ∂L/∂θ = Σ_i (∂ρ/∂Δ_i − g_i·min(1, m / ‖g_i‖))·∂Δ_i/∂θ / B        g_i = ∂R_i/∂Δ_i, m the most that one sample counts

Without m this is the gradient of L. Where a small change of a noise turns one scene into another, g is many times what it is
elsewhere (on `tiny-turbo` its median is 1.7, and one in thirty is above 80), and such samples drown all others; ReNO clips
the gradient of each sample too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from noisekit.models.base import Model
from noisekit.noise import NoiseSource

Form = Literal["mean", "sum"]
#: A weighted sum of rewards: of images (B, 3, H, W) and B prompts, giving (B,).
Reward = Callable[[Tensor, Sequence[str]], Tensor]


class Figures(NamedTuple):
    """Of every sample: the reward of its image, mean Δ², and the cosine of ε and ε + Δ; (B,) each."""

    reward: Tensor
    squared: Tensor
    cosine: Tensor

    @classmethod
    def together(cls, parts: Sequence[Figures]) -> Figures:
        return cls(*(torch.cat(values) for values in zip(*parts, strict=True)))

    def means(self) -> dict[str, float]:
        return {name: values.mean().item() for name, values in self._asdict().items()}


@dataclass(frozen=True)
class Objective:
    """L for a model whose `sample` carries a gradient. strength: λ; most: m, or None."""

    model: Model
    reward: Reward
    form: Form = "mean"
    strength: float = 1.0
    most: float | None = None

    def __call__(self, predictor: nn.Module, prompts: Sequence[str], noise: Tensor) -> tuple[Tensor, Figures]:
        """A scalar whose gradient is that of L, and the figures of its samples."""
        delta = predictor(noise, self.model.encode(prompts))
        reached = delta.detach().requires_grad_()
        figures = self._figures(reached, prompts, noise)
        (climb,) = torch.autograd.grad(figures.reward.sum(), reached)
        if self.most is not None:
            length = climb.flatten(1).norm(dim=1).clamp(min=1e-12)
            scale = (self.most / length).clamp(max=1)
            climb = climb * scale.view(-1, *[1] * (climb.dim() - 1))
        size = noise[0].numel() if self.form == "sum" else 1
        held = self.strength * size / 2 * delta.square().flatten(1).mean(1)
        loss = (held - (climb * delta).flatten(1).sum(1)).mean()
        return loss, Figures(*(values.detach() for values in figures))

    def _figures(self, delta: Tensor, prompts: Sequence[str], noise: Tensor) -> Figures:
        conditioning, moved = self.model.encode(prompts), noise + delta
        generators = NoiseSource(self.model.noise_shape, prompts, [0] * len(prompts)).sampler_generators()
        images = self.model.decode(self.model.sample(moved, conditioning, generators))
        cosine = torch.cosine_similarity(moved.detach().flatten(1), noise.flatten(1))
        return Figures(self.reward(images, prompts), delta.square().flatten(1).mean(1), cosine)

    @torch.no_grad()
    def judged(
        self, predictor: nn.Module | None, prompts: Sequence[str], noise: Tensor, batch: int
    ) -> Figures:
        """The figures of many samples, `batch` at a time; without a predictor those of the noise as it is."""
        parts = []
        for start in range(0, len(prompts), batch):
            texts, x = list(prompts[start : start + batch]), noise[start : start + batch]
            delta = torch.zeros_like(x) if predictor is None else predictor(x, self.model.encode(texts))
            parts.append(self._figures(delta, texts, x))
        return Figures.together(parts)
