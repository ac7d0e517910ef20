"""Re-denoising: a step towards the image at a strong guidance, and the same step back at a weak one.

    x_1 = denoise(x_0; ω_l)        x′_0 = invert(x_1; ω_w)        over the first interval of a grid, points 0 and 1

Zhou et al. 2024, "Golden Noise for Diffusion Models", arXiv 2411.09502, stage I. With DDIM on both ways and ε̂ the noise that
a prediction means,

    x′_0 = x_0 + (a_0·s_1 − a_1·s_0)/a_1 · (ε̂(x_0; ω_l) − ε̂(x_1; ω_w))        a = √ā, s = √(1 − ā)

so what both predictions share cancels and the guidance stays. If the two states were one, the bracket would be
(ω_l − ω_w)·(ε̂(c) − ε̂(∅)): Theorem E.1 of the paper, whose remainder does not vanish. Every solver here takes its first step
as DDIM does, so there is nothing to choose.

"released" is what the public code runs. It hands the inverse scheduler the step's second timestep, so the move back starts
and ends one point late, from 2 to 1, though the state is at 1 (raw predictions are read at level 2):

    x′ = (a_1/a_2)·x_1 + (s_1 − (a_1/a_2)·s_2)·ε̂(x_1; ω_w)

On a flow, x_σ = (1 − σ)·x_0 + σ·ε with u the velocity, both ways are its Euler steps (`flow`), and

    x′_0 = x_0 + (σ_0 − σ_1)·(u(x_1; ω_w) − u(x_0; ω_l))

where the same argument leaves −(σ_0 − σ_1)·(ω_l − ω_w)·(u(c) − u(∅)). No public code runs "released" there.

Repainting is the same way there and another way back: instead of inverting, the forward process adds fresh noise ε,

    x′_0 = r·x_1 + √(s_0² − r²·s_1²)·ε        r = a_0/a_1

which on diffusion's states is (a_0/a_1)·x_1 + √(1 − a_0²/a_1²)·ε. A flow's first level is all noise, σ_0 = 1 or just below:
there a_0 ≈ 0, next to nothing of x_1 would stay, and x′_0 would be another random noise. So repainting does not apply to it.
"""

from __future__ import annotations

import math
from typing import Literal, assert_never

from torch import Tensor

from noisekit.errors import BadValue, NotSupported
from noisekit.solvers.base import Denoiser, EvaluateAt, Grid
from noisekit.solvers.ddim import DDIM
from noisekit.solvers.diffusion import diffusion_only

ReDenoise = Literal["paper", "released"]


def re_denoise(
    strong: Denoiser,
    weak: Denoiser,
    noise: Tensor,
    grid: Grid,
    variant: ReDenoise = "paper",
    evaluate_at: EvaluateAt = "target",
) -> Tensor:
    """x′ of a noise x: denoised over the first interval by `strong` and inverted by `weak`, one evaluation each.

    Args:
        strong: the denoiser at high guidance.
        weak: the denoiser at low guidance.
        noise: x (B, C, h, w).
        grid: whose first interval is walked.
        variant: "paper", or "released" as the public code does, whose two halves use different intervals.
        evaluate_at: the timestep given to `weak` by "paper"; "released" always gives the target.

    Returns:
        x′ (B, C, h, w).

    Raises:
        BadValue: where "released" has no second interval to be off by.
    """
    solver, interval = DDIM(evaluate_at), grid.first_interval()
    match variant:
        case "paper":
            return solver.round_trip(strong, noise, interval, inverse=weak)
        case "released":
            grid = diffusion_only(grid, "variant='released'", "variant='paper'")
            if len(grid) < 2:
                raise BadValue(
                    "re-denoising as released needs a grid of 2 steps or more; use variant='paper'"
                )
            x = solver.denoise(strong, noise, interval)
            epsilon = grid.epsilon(weak(x, grid.timestep(0)), x, 2)
            return grid.move(x, epsilon, 2, 1)
        case other:
            assert_never(other)


def repaint(u: Denoiser, noise: Tensor, fresh: Tensor, grid: Grid) -> Tensor:
    """x′ (B, C, h, w) of noise: denoised by `u` over the first interval, then noised again by `fresh` ~ N(0, I)."""
    ratio, interval = kept_share(grid), grid.first_interval()
    added = math.sqrt(interval.s(0) ** 2 - (ratio * interval.s(1)) ** 2)
    return ratio * DDIM().denoise(u, noise, interval) + added * fresh


def kept_share(grid: Grid) -> float:
    """r = a_0/a_1: what repainting keeps of the state; `NotSupported` where that is less than a hundredth."""
    ratio = grid.a(0) / grid.a(1)
    if ratio < 0.01:
        raise NotSupported(
            "repainting goes back to the first level of the sampler, which is pure noise on this model, so nothing of the "
            "step would stay; use 'inversion', or 'best_of' for further random noises"
        )
    return ratio
