"""One stochastic step on any grid: DDIM's η (arXiv 2010.02502, Eq. 12 and 16), which trades carried noise for fresh noise.

    x_next = a_next·x̂_0 + √(s_next² − v²)·ε̂ + v·ξ        ξ ~ N(0, I)
    v² = η²·s_next²·(1 − (a·s_next / (a_next·s))²)

η = 0 is the ODE's step; η = 1 is ancestral sampling (DDPM's posterior, Euler ancestral on the same levels). A step depends
on x/a and on σ = s/a alone, so the same line serves the states of a diffusion model and those of a flow: there a = 0 at the
first point, where v = η·s_next. v = s_next, whatever η, forgets the noise that was carried: what diffusers'
FlowMatchEulerDiscreteScheduler calls stochastic sampling. A last point with s = 0 takes no noise.

Whatever moves a state after a step with v > 0 is a matter of the noise that the step injected: x_next + δ ⇔ ξ + δ/v.
"""

from __future__ import annotations

import math

from torch import Tensor

from noisekit.solvers.base import Grid


def injected_deviation(grid: Grid, k: int, eta: float) -> float:
    """v, the standard deviation of the fresh noise that the step from point k to k + 1 injects."""
    a, s, a_next, s_next = grid.a(k), grid.s(k), grid.a(k + 1), grid.s(k + 1)
    if s_next == 0:
        return 0.0
    return eta * s_next * math.sqrt(max(0.0, 1 - (a * s_next / (a_next * s)) ** 2))


def noisy_step(
    grid: Grid, u: Tensor, x: Tensor, k: int, fresh: Tensor | None, deviation: float
) -> tuple[Tensor, Tensor]:
    """The state at point k + 1 and the clean latents x̂_0 that the raw prediction u of state x at point k means.

    Args:
        grid: whose levels a and s are.
        u: the network's raw prediction (B, C, h, w).
        x: the state (B, C, h, w) that it was made of.
        k: the point at which x stands.
        fresh: ξ (B, C, h, w); None for the mean of the step, to which v·ξ is still to be added.
        deviation: v, from 0 to s at point k + 1.
    """
    clean, epsilon = grid.read(u, x, k)
    carried = math.sqrt(max(0.0, grid.s(k + 1) ** 2 - deviation**2))
    mean = grid.a(k + 1) * clean + carried * epsilon
    return (mean if fresh is None else mean + deviation * fresh), clean
