"""Euler steps in the EDM form (Karras et al., arXiv 2206.00364), as "Not All Noises Are Created Equally" inverts SV3D.

With σ = √((1 − ā) / ā) and the variance-exploding state X = x·√(σ² + 1), the network is wrapped as

    D(X; σ) = c_skip·X + c_out·u(c_in·X; σ)        c_in = 1/√(σ² + 1)

    "epsilon":       c_skip = 1               c_out = −σ
    "v_prediction":  c_skip = 1/(σ² + 1)      c_out = −σ/√(σ² + 1)
    "sample":        c_skip = 0               c_out = 1

    denoise:  X_t     = X_{t+1} + (σ_t − σ_{t+1})/σ_{t+1}·(X_{t+1} − D(X_{t+1}; σ_{t+1}))
    invert:   X_{t+1} = (σ_{t+1}·X_t + (σ_t − σ_{t+1})·c_out·u) / ((σ_t − σ_{t+1})·(1 − c_skip) + σ_{t+1})

The inverse solves the denoising step for X_{t+1} exactly where it is linear (c_skip, c_out at σ_{t+1}) and takes u at
X_t: the paper's Eq. 6. It does not say how the network is given X_t, and there are three readings:

    evaluate_at="target"     u(c_in(σ_t)·X_t; σ_{t+1})          the state in its own scale, told the noisier level
    evaluate_at="literal"    u(c_in(σ_{t+1})·X_t; σ_{t+1})      X̂_{t+1} replaced by X_t and nothing else
    evaluate_at="current"    u(c_in(σ_t)·X_t; σ_t)              "the prediction results at x_t"

This σ is a diffusion model's; a flow's own Euler step in its σ is what `ddim` takes there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import assert_never

from torch import Tensor

from noisekit.solvers.base import Denoiser, Grid, Solver
from noisekit.solvers.diffusion import PredictionType, diffusion_only


@dataclass(frozen=True)
class Euler(Solver):
    """First order in σ. Its denoising equals DDIM's in exact arithmetic; its inverse does not."""

    scales_states = True

    def denoise(self, u: Denoiser, x: Tensor, grid: Grid) -> Tensor:
        grid = diffusion_only(grid, "solver='euler'", "solver='ddim'")
        sigmas = [sigma(ā) for ā in grid.alpha_bar.tolist()]
        state = x * math.hypot(sigmas[0], 1)
        for k, t in enumerate(grid.timesteps):
            now, end = sigmas[k], sigmas[k + 1]
            c_skip, c_out = coefficients(now, grid.prediction)
            denoised = c_skip * state + c_out * u(state / math.hypot(now, 1), t)
            state = state + (end - now) / now * (state - denoised)
        return state / math.hypot(sigmas[-1], 1)

    def invert(self, u: Denoiser, x: Tensor, grid: Grid) -> Tensor:
        grid = diffusion_only(grid, "solver='euler'", "solver='ddim'")
        sigmas = [sigma(ā) for ā in grid.alpha_bar.tolist()]
        state = x * math.hypot(sigmas[-1], 1)
        for k in reversed(range(len(grid))):
            now, end = sigmas[k + 1], sigmas[k]
            c_skip, c_out = coefficients(end, grid.prediction)
            told, _ = self.inverse_points(k)
            scale = end if self.evaluate_at == "literal" else now
            prediction = u(state / math.hypot(scale, 1), grid.timestep(told))
            state = (end * state + (now - end) * c_out * prediction) / ((now - end) * (1 - c_skip) + end)
        return state / math.hypot(sigmas[0], 1)


def sigma(alpha_bar: float) -> float:
    """σ = √((1 − ā) / ā): the noise's standard deviation beside a signal of scale 1."""
    return math.sqrt((1 - alpha_bar) / alpha_bar)


def coefficients(sigma: float, prediction: PredictionType) -> tuple[float, float]:
    """(c_skip, c_out) of D(X; σ) = c_skip·X + c_out·u for each kind of network."""
    match prediction:
        case "epsilon":
            return 1.0, -sigma
        case "v_prediction":
            return 1 / (sigma**2 + 1), -sigma / math.hypot(sigma, 1)
        case "sample":
            return 0.0, 1.0
        case other:
            assert_never(other)
