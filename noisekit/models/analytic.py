"""A diffusion model whose denoiser is exact: a Gaussian mixture per prompt. The ground of the tests.

    x_0 ~ Σ_k w·N(μ_k, τ²·I)        w = 1/K, means μ_k drawn from the prompt's hash
    x_t = a·x_0 + s·ε                a = √ā_t, s = √(1 − ā_t)
    ε̂(x, t) = E[ε | x_t = x] = s·Σ_k r_k·(x − a·μ_k) / (a²τ² + s²)
        x̂_0(x, t) = Σ_k r_k·(μ_k + aτ²·(x − a·μ_k) / (a²τ² + s²))
    r_k ∝ exp(−‖x − a·μ_k‖² / 2(a²τ² + s²))

With path="flow" the states are a flow's, a = 1 − σ and s = σ with t = 1000·σ, and the prediction is the velocity ε̂ − x̂_0.
`decode` maps latents linearly around mid-grey: image = clamp(½ + x/10, 0, 1), its single channel three times over. With
frames=F a sample is a sequence, and the mixture is one over all its frames.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from noisekit.cost import counted
from noisekit.image_prompts import noise_key
from noisekit.models.base import Conditioning, Marker, Model, guided, without_injected
from noisekit.models.cards import Card
from noisekit.noise import generator
from noisekit.solvers import DDIM, FlowGrid, Grid, scheduler_grid


class AnalyticModel(Model):
    """K Gaussians of width τ around prompt-keyed means of typical norm `spread`·√d; exact at every timestep.

    With K = 1 denoising, inversion and stochastic sampling are affine maps, so optima are known in closed form.
    """

    def __init__(
        self,
        *,
        size: int = 4,
        components: int = 2,
        spread: float = 1.0,
        width: float = 0.5,
        path: Literal["diffusion", "flow"] = "diffusion",
        **settings: Any,
    ) -> None:
        self.name, self.device = "analytic", torch.device("cpu")  # pyrefly: ignore[read-only] (torch gives devices a __get__)
        self.card = dataclasses.replace(
            Card("analytic", bundled=True, steps=10, guidance=1.0, batch=64), **settings
        )
        self.noise_shape = (*((self.card.frames,) if self.card.frames else ()), 1, size, size)
        self.components, self.spread, self.width, self.path = components, spread, width, path
        self.markers = frozenset(Marker(name) for name in self.card.abilities)

    def encode(self, prompts: Sequence[str]) -> Conditioning:
        return Conditioning(torch.stack([self.means(text) for text in prompts]), self.means("")[None])

    def means(self, prompt: str) -> Tensor:
        """The prompt's μ, (K, C, h, w)."""
        shape = (self.components, *self.noise_shape)
        return self.spread * torch.randn(shape, generator=generator("analytic", noise_key(prompt)))

    def grid(self, steps: int) -> Grid:
        if self.path == "flow":
            sigmas = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
            return FlowGrid(1000 * sigmas[:-1], sigmas)
        return scheduler_grid(SCHEDULE, steps)

    def predict(self, x: Tensor, t: Tensor, conditioning: Conditioning, guidance: float) -> Tensor:
        with_prompt = self.prediction(x, t, conditioning.positive)
        if not guided(guidance):
            return counted("denoiser", with_prompt, self)
        without = self.prediction(x, t, conditioning.negative.expand_as(conditioning.positive))
        without, with_prompt = counted("denoiser", torch.cat([without, with_prompt]), self).chunk(2)
        return without + guidance * (with_prompt - without)

    def prediction(self, x: Tensor, t: Tensor, means: Tensor) -> Tensor:
        """E[ε | x_t = x], or of a flow E[ε − x_0 | x_t = x], for the mixture with `means` (B, K, C, h, w)."""
        a, s = self._level(t)
        variance = (a * self.width) ** 2 + s**2
        offset = x[:, None] - a * means
        logits = -offset.flatten(2).square().sum(2) / (2 * variance)
        share = logits.softmax(1).view(*logits.shape, *[1] * len(self.noise_shape))
        noise = s * (share * offset).sum(1) / variance
        if self.path == "diffusion":
            return noise
        return noise - (share * (means + a * self.width**2 / variance * offset)).sum(1)

    def _level(self, t: Tensor) -> tuple[float, float]:
        """(a, s) at timestep t."""
        if self.path == "flow":
            return 1 - float(t) / 1000, float(t) / 1000
        alpha_bar = self._alpha_bar[int(t)]
        return alpha_bar.sqrt().item(), (1 - alpha_bar).sqrt().item()

    def sample(
        self,
        noise: Tensor,
        conditioning: Conditioning,
        generators: list[torch.Generator] | None = None,
        steps: int | None = None,
        injected: Tensor | None = None,
    ) -> Tensor:
        if Marker.STOCHASTIC in self.markers:
            return self.stochastic_walk(noise, conditioning, generators, steps, injected)
        without_injected(self.name, injected)

        def u(x: Tensor, t: Tensor) -> Tensor:
            return self.predict(x, t, conditioning, self.card.guidance)

        return DDIM().denoise(u, noise, self.grid(steps or self.card.steps))

    def decode(self, latents: Tensor) -> Tensor:
        grey = (0.5 + latents / 10).clamp(0, 1)
        return counted("decoder", grey.expand(*grey.shape[:-3], 3, *grey.shape[-2:]), self)

    def tried(self, network: str) -> float:
        """By hand, as there are no products of matrices: eight for each number of each Gaussian, two for each of a pixel."""
        numbers = math.prod(self.noise_shape)
        prices = {"denoiser": 8 * self.components * numbers, "decoder": 2 * numbers}
        return {
            **prices,
            "denoiser_backward": 2 * prices["denoiser"],
            "decoder_backward": prices["decoder"],
        }.get(network, math.nan)

    @property
    def identity(self) -> dict[str, Any]:
        mixture = {"components": self.components, "spread": self.spread, "width": self.width}
        run = {"steps": self.card.steps, "guidance": self.card.guidance, "size": list(self.noise_shape)}
        walk = ({"path": self.path} if self.path == "flow" else {}) | (
            {"eta": self.card.eta} if self.card.eta else {}
        )
        return {"pipeline": "analytic"} | mixture | run | walk

    @property
    def _alpha_bar(self) -> Tensor:
        betas = torch.linspace(SCHEDULE["beta_start"] ** 0.5, SCHEDULE["beta_end"] ** 0.5, 1000) ** 2
        return (1 - betas).cumprod(0)


#: The time axis of the analytic model, as a diffusers scheduler's configuration.
SCHEDULE: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "timestep_spacing": "trailing",
    "clip_sample": False,
    "set_alpha_to_one": True,
}
