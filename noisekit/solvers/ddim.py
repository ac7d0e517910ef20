"""DDIM (arXiv 2010.02502, η = 0): the prediction's noise is carried over to the next level.

    x_next = (a_next / a)·x + (s_next − (a_next / a)·s)·ε̂(x)        a = √ā, s = √(1 − ā)

The same line read from the clean to the noisy end is DDIM inversion; there ε̂ is only approximate (see `base`). It is
Eq. 2 of "Not All Noises Are Created Equally" with the factor that DDIM implies in front of the bracket.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from noisekit.solvers.base import Denoiser, Grid, Solver


@dataclass(frozen=True)
class DDIM(Solver):
    """First order in both directions."""

    def denoise(self, u: Denoiser, x: Tensor, grid: Grid) -> Tensor:
        for k, t in enumerate(grid.timesteps):
            x = move(x, grid.epsilon(u(x, t), x, k), grid, k, k + 1)
        return x

    def invert(self, u: Denoiser, x: Tensor, grid: Grid) -> Tensor:
        for k in reversed(range(len(grid))):
            x = move(x, self.inverse_epsilon(u, x, grid, k), grid, k + 1, k)
        return x


def move(x: Tensor, epsilon: Tensor, grid: Grid, start: int, end: int) -> Tensor:
    """The state at point `end` of the grid, from the state at `start` and its noise; either direction."""
    ratio = grid.a(end) / grid.a(start)
    return ratio * x + (grid.s(end) - ratio * grid.s(start)) * epsilon
