"""The variance-preserving grid of diffusion models.

    x_t = √ā_t·x_0 + √(1 − ā_t)·ε        a = √ā_t,  s = √(1 − ā_t)

with ā the CUMULATIVE product (diffusers' `alphas_cumprod`). A network's raw prediction u at (x, t) means

    "epsilon":       ε̂ = u                 x̂_0 = (x − s·u) / a
    "v_prediction":  ε̂ = a·u + s·x         x̂_0 = a·x − s·u
    "sample":        ε̂ = (x − a·u) / s     x̂_0 = u

and a step of DDIM (arXiv 2010.02502, η = 0) carries that noise over to the next level:

    x_next = (a_next / a)·x + (s_next − (a_next / a)·s)·ε̂
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, assert_never

import torch
from torch import Tensor

from noisekit.errors import BadValue, NotSupported
from noisekit.solvers.base import Grid

PredictionType = Literal["epsilon", "v_prediction", "sample"]


@dataclass(frozen=True)
class DiffusionGrid(Grid):
    """n timesteps, and ā (n + 1,) at each of them and at the clean end; fp64 on the host."""

    alpha_bar: Tensor
    prediction: PredictionType = "epsilon"

    def __post_init__(self) -> None:
        if len(self.alpha_bar) != len(self.timesteps) + 1:
            raise BadValue(
                f"{len(self.timesteps)} timesteps need {len(self.timesteps) + 1} alphas, not {len(self.alpha_bar)}"
            )
        if not (
            self.alpha_bar[0] > 0 and bool((self.alpha_bar.diff() >= 0).all()) and self.alpha_bar[-1] <= 1
        ):
            raise BadValue("the cumulative alphas of a grid must not fall, from above 0 to at most 1")

    def a(self, k: int) -> float:
        return math.sqrt(self.alpha_bar[k].item())

    def s(self, k: int) -> float:
        return math.sqrt(1 - self.alpha_bar[k].item())

    def step(self, u: Tensor, x: Tensor, start: int, end: int, read: int) -> Tensor:
        return self.move(x, self.epsilon(u, x, read), start, end)

    def move(self, x: Tensor, epsilon: Tensor, start: int, end: int) -> Tensor:
        """The state at point `end`, from the state at `start` and its noise; either direction."""
        ratio = self.a(end) / self.a(start)
        return ratio * x + (self.s(end) - ratio * self.s(start)) * epsilon

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

    def read(self, u: Tensor, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
        epsilon = self.epsilon(u, x, k)
        return (x - self.s(k) * epsilon) / self.a(k), epsilon

    def first_interval(self) -> DiffusionGrid:
        told = self.timestep(1).item()
        return DiffusionGrid(self.timesteps[:1], self.alpha_bar[:2], self.prediction, told_clean=told)


def scheduler_grid(
    config: Mapping[str, Any], steps: int, timesteps: Sequence[int] | None = None
) -> DiffusionGrid:
    """The DDIM grid of a diffusers scheduler's configuration: its betas, spacing, offset and clean end.

    Args:
        config: of any diffusers scheduler with betas.
        steps: intervals of the grid.
        timesteps: chosen ones instead of the spacing's, one a step.
    """
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler.from_config(config)
    if steps > (trained := scheduler.config.num_train_timesteps):
        raise BadValue(f"{steps} steps are more than the {trained} timesteps of the model; give fewer")
    scheduler.set_timesteps(steps)
    chosen = scheduler.timesteps if timesteps is None else torch.tensor(timesteps)
    alphas = scheduler.alphas_cumprod.double()
    ends = torch.cat([alphas[chosen], scheduler.final_alpha_cumprod.double().reshape(1)])
    return DiffusionGrid(chosen, ends, scheduler.config.prediction_type)


def sampler_grid(scheduler: Any) -> DiffusionGrid:
    """The grid that a diffusers scheduler has set up for itself: the timesteps that it tells, and their levels.

    Schedulers of one configuration space their timesteps differently: DPM-Solver's and UniPC's are not DDIM's. Those with a
    table of σ = s/a step between its levels, of the others a level is the ā of its timestep. Points within a step of a
    sampler of second order, and levels that are visited twice, are none of the grid's.
    """
    order = getattr(scheduler, "order", 1)
    timesteps = scheduler.timesteps.cpu()[::order]
    sigmas = getattr(scheduler, "sigmas", None)
    if sigmas is not None:
        sigmas = sigmas.double().cpu()
        levels, end = 1 / (1 + sigmas[:-1:order] ** 2), 1 / (1 + sigmas[-1:] ** 2)
    else:
        levels = scheduler.alphas_cumprod.double()[timesteps]
        end = torch.as_tensor(getattr(scheduler, "final_alpha_cumprod", 1.0)).double().reshape(1)
    fresh = torch.cat([torch.tensor([True]), timesteps.diff() != 0])
    return DiffusionGrid(
        timesteps[fresh], torch.cat([levels[: len(timesteps)][fresh], end]), scheduler.config.prediction_type
    )


def diffusion_only(grid: Grid, setting: str, instead: str) -> DiffusionGrid:
    """The grid as a diffusion model's; raises `NotSupported` for a flow's, naming the setting and what to use instead."""
    if not isinstance(grid, DiffusionGrid):
        raise NotSupported(
            f"{setting} steps between the states of a diffusion model, and this model is a flow; use {instead}, which takes "
            "the flow's own ODE"
        )
    return grid
