"""The grid of flow-matching models (rectified flow: arXiv 2209.03003, 2403.03206): states on straight lines to the noise.

    x_σ = (1 − σ)·x_0 + σ·ε        a = 1 − σ,  s = σ,  σ from 1 (noise) to 0 (clean)
    u(x, σ) = ε − x_0              the velocity dx/dσ, expected given x_σ
    x̂_0 = x − σ·u                  ε̂ = x + (1 − σ)·u

The step of DDIM, a_next·x̂_0 + s_next·ε̂, is here the Euler step of the model's own ODE in either direction:

    x_next = (1 − σ_next)·(x − σ·u) + σ_next·(x + (1 − σ)·u) = x + (σ_next − σ)·u

So "ddim" means the model's own ODE on both kinds of grid. Only a = 0 at σ = 1 forbids to write it by x and ε̂ alone, as
diffusion's (a_next / a)·x + … does. The velocity is the derivative itself, so the level at which an answer is read says
nothing: `read_at="told"` and "state" are one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from noisekit.errors import BadValue
from noisekit.solvers.base import Grid


@dataclass(frozen=True)
class FlowGrid(Grid):
    """n timesteps, and σ (n + 1,) at each of them and at the clean end; fp64 on the host."""

    sigmas: Tensor

    def __post_init__(self) -> None:
        if len(self.sigmas) != len(self.timesteps) + 1:
            raise BadValue(
                f"{len(self.timesteps)} timesteps need {len(self.timesteps) + 1} sigmas, not {len(self.sigmas)}"
            )
        if not (self.sigmas[0] <= 1 and bool((self.sigmas.diff() <= 0).all()) and self.sigmas[-1] >= 0):
            raise BadValue("the sigmas of a flow's grid must not rise, from at most 1 to at least 0")

    def a(self, k: int) -> float:
        return 1 - self.sigmas[k].item()

    def s(self, k: int) -> float:
        return self.sigmas[k].item()

    def step(self, u: Tensor, x: Tensor, start: int, end: int, read: int) -> Tensor:
        return x + (self.s(end) - self.s(start)) * u

    def read(self, u: Tensor, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
        return x - self.s(k) * u, x + self.a(k) * u

    def first_interval(self) -> FlowGrid:
        return FlowGrid(self.timesteps[:1], self.sigmas[:2], told_clean=float(self.timestep(1)))


def flow_grid(scheduler: Any) -> FlowGrid:
    """The grid that a diffusers scheduler with flow sigmas has set up, shifted or bent as its configuration says."""
    return FlowGrid(scheduler.timesteps.cpu(), scheduler.sigmas.double().cpu())


def shift_for(config: Any, tokens: int) -> float:
    """The μ of dynamic shifting, σ ← e^μ / (e^μ + 1/σ − 1): linear in the number of image tokens (arXiv 2403.03206, 5.3.2).

    Args:
        config: a scheduler's, which names both ends of the line; left out they are FLUX's 256 → 0.5 and 4096 → 1.15.
        tokens: of the image, after packing.
    """
    few, many = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    low, high = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
    return float(low + (high - low) * (tokens - few) / (many - few))
