"""A time grid, and what a solver does on it: there (noise → latents) and back (latents → noise).

States are variance-preserving: x_t = √ā_t·x_0 + √(1 − ā_t)·ε, with ā the CUMULATIVE product (diffusers'
`alphas_cumprod`). A network's raw prediction u at (x, t) means, with a = √ā_t and s = √(1 − ā_t),

    "epsilon":       ε̂ = u                 x̂_0 = (x − s·u) / a
    "v_prediction":  ε̂ = a·u + s·x         x̂_0 = a·x − s·u
    "sample":        ε̂ = (x − a·u) / s     x̂_0 = u

An explicit inverse step cannot be exact, because the prediction that it needs sits at the state it looks for. It evaluates
the network at the known state x_{t−1}, tells it either timestep, and reads the answer by the level that it was told:

    evaluate_at="target"    u(x_{t−1}, t): the noisier end of the step, as Eq. 2 of "Not All Noises Are Created Equally"
    evaluate_at="current"   u(x_{t−1}, t − 1): the cleaner end, as most inversion code does

The table above at the told level is what makes a network that predicts v or the sample behave as the same network
predicting ε. diffusers' DDIMInverseScheduler tells the target and reads at the level of the state (`read_at="state"`);
for "epsilon" that is the same, for the others the round trip returns far from where it came.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, assert_never

import torch
from torch import Tensor

from noisekit.errors import BadValue

EvaluateAt = Literal["target", "current"]
ReadAt = Literal["told", "state"]
PredictionType = Literal["epsilon", "v_prediction", "sample"]

#: u(x, t): unit-variance state (B, C, h, w) and scalar timestep to the raw prediction (B, C, h, w).
Denoiser = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Grid:
    """n timesteps from noisy to clean, and ā (n + 1,) at each of them and at the clean end; fp64 on the host.

    `told_clean` is the timestep that a network evaluated at the clean end is told.
    """

    timesteps: Tensor
    alpha_bar: Tensor
    prediction: PredictionType = "epsilon"
    told_clean: int = 0

    def __post_init__(self) -> None:
        if len(self.alpha_bar) != len(self.timesteps) + 1:
            raise BadValue(
                f"{len(self.timesteps)} timesteps need {len(self.timesteps) + 1} alphas, not {len(self.alpha_bar)}"
            )
        if not (
            self.alpha_bar[0] > 0 and bool((self.alpha_bar.diff() >= 0).all()) and self.alpha_bar[-1] <= 1
        ):
            raise BadValue("the cumulative alphas of a grid must not fall, from above 0 to at most 1")

    def __len__(self) -> int:
        return len(self.timesteps)

    def a(self, k: int) -> float:
        """√ā at point k of the grid, 0 the noisy end."""
        return math.sqrt(self.alpha_bar[k].item())

    def s(self, k: int) -> float:
        """√(1 − ā) at point k of the grid."""
        return math.sqrt(1 - self.alpha_bar[k].item())

    def timestep(self, k: int) -> Tensor:
        """The timestep of point k; the clean end's is `told_clean`."""
        return self.timesteps[k] if k < len(self) else torch.full_like(self.timesteps[0], self.told_clean)

    def epsilon(self, u: Tensor, x: Tensor, k: int) -> Tensor:
        """The noise ε̂ that the raw prediction u means for a state x taken to be at point k."""
        a, s = self.a(k), self.s(k)
        match self.prediction:
            case "epsilon":
                return u
            case "v_prediction":
                return a * u + s * x
            case "sample":
                if s == 0:
                    raise BadValue(
                        "a network that predicts the sample says nothing of the noise at ā = 1, so it cannot be inverted "
                        "from there; use evaluate_at='target', or give the scheduler set_alpha_to_one=False"
                    )
                return (x - a * u) / s
            case other:
                assert_never(other)


def scheduler_grid(config: Mapping[str, Any], steps: int) -> Grid:
    """The DDIM grid of a diffusers scheduler's configuration: its betas, spacing, offset and clean end."""
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler.from_config(config)
    scheduler.set_timesteps(steps)
    alphas = scheduler.alphas_cumprod.double()
    ends = torch.cat([alphas[scheduler.timesteps], scheduler.final_alpha_cumprod.double().reshape(1)])
    return Grid(scheduler.timesteps, ends, scheduler.config.prediction_type)


@dataclass(frozen=True)
class Solver(ABC):
    """An explicit solver of the probability-flow ODE on a grid, with an approximate inverse on the same grid."""

    evaluate_at: EvaluateAt = "target"
    read_at: ReadAt = "told"

    @abstractmethod
    def denoise(self, u: Denoiser, x: Tensor, grid: Grid) -> Tensor:
        """From noise (B, C, h, w) to clean latents: one network evaluation per timestep."""

    @abstractmethod
    def invert(self, u: Denoiser, x: Tensor, grid: Grid) -> Tensor:
        """From clean latents back to noise: one network evaluation per timestep."""

    def round_trip(self, u: Denoiser, noise: Tensor, grid: Grid, inverse: Denoiser | None = None) -> Tensor:
        """ε′ = F(ε) = invert(denoise(ε)); `inverse` is the denoiser on the way back (another guidance), default u."""
        return self.invert(inverse or u, self.denoise(u, noise, grid), grid)

    def inverse_epsilon(self, u: Denoiser, x: Tensor, grid: Grid, k: int) -> Tensor:
        """The noise ε̂ for the inverse step from x at point k + 1 to point k."""
        told = k if self.evaluate_at == "target" else k + 1
        return grid.epsilon(u(x, grid.timestep(told)), x, told if self.read_at == "told" else k + 1)
