"""A time grid, and what a solver does on it: there (noise → latents) and back (latents → noise).

A state at point k of a grid is x_k = a_k·x_0 + s_k·ε; how a and s run, and what a network predicts, is the grid's matter
(`diffusion`, `flow`). A solver of first order asks the grid alone for its steps, and so runs on both kinds.

An explicit inverse step cannot be exact, because the prediction that it needs sits at the state it looks for. It evaluates
the network at the known state x_{t−1}, tells it either timestep, and reads the answer by the level that it was told:

    evaluate_at="target"    u(x_{t−1}, t): the noisier end of the step, as Eq. 2 of "Not All Noises Are Created Equally"
    evaluate_at="current"   u(x_{t−1}, t − 1): the cleaner end, as most inversion code does
    evaluate_at="literal"   Euler's alone: the target's, told of the state scaled as if it were there, too (see `euler`)

Reading at the told level is what makes a network that predicts v or the sample behave as the same network predicting ε.
diffusers' DDIMInverseScheduler tells the target and reads at the level of the state (`read_at="state"`); for "epsilon" that
is the same, for the others the round trip returns far from where it came. A flow's velocity is read alike everywhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from noisekit.errors import BadValue

EvaluateAt = Literal["target", "current"]
EulerAt = EvaluateAt | Literal["literal"]
ReadAt = Literal["told", "state"]

#: u(x, t): unit-variance state (B, C, h, w) and scalar timestep to the raw prediction (B, C, h, w).
Denoiser = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Grid(ABC):
    """n timesteps from noisy to clean, point 0 the noisy and point n the clean end.

    `told_clean` is the timestep that a network evaluated at the clean end is told.
    """

    timesteps: Tensor
    told_clean: float = field(default=0, kw_only=True)

    def __len__(self) -> int:
        return len(self.timesteps)

    def timestep(self, k: int) -> Tensor:
        """The timestep of point k; the clean end's is `told_clean`."""
        return self.timesteps[k] if k < len(self) else torch.full_like(self.timesteps[0], self.told_clean)

    @abstractmethod
    def a(self, k: int) -> float:
        """The signal's coefficient at point k."""

    @abstractmethod
    def s(self, k: int) -> float:
        """The noise's coefficient at point k."""

    @abstractmethod
    def step(self, u: Tensor, x: Tensor, start: int, end: int, read: int) -> Tensor:
        """The state at point `end`, from the state x at `start` and the raw prediction u read at point `read`."""

    @abstractmethod
    def read(self, u: Tensor, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The clean latents x̂_0 and the noise ε̂ that the raw prediction u of state x at point k means."""

    @abstractmethod
    def first_interval(self) -> Grid:
        """The grid of one step that covers the first interval of this one."""


@dataclass(frozen=True)
class Solver(ABC):
    """An explicit solver of the probability-flow ODE on a grid, with an approximate inverse on the same grid."""

    evaluate_at: EulerAt = "target"
    read_at: ReadAt = "told"

    def __post_init__(self) -> None:
        if self.evaluate_at == "literal" and not self.scales_states:
            raise BadValue(
                "evaluate_at='literal' is a reading of the Euler step in the EDM form; give solver='euler', or 'target'"
            )

    #: Whether it steps between states of another scale than those that the network is given.
    scales_states: ClassVar[bool] = False

    @abstractmethod
    def denoise(self, u: Denoiser, x: Tensor, grid: Grid) -> Tensor:
        """From noise (B, C, h, w) to clean latents: one network evaluation per timestep."""

    @abstractmethod
    def invert(self, u: Denoiser, x: Tensor, grid: Grid) -> Tensor:
        """From clean latents back to noise: one network evaluation per timestep."""

    def round_trip(self, u: Denoiser, noise: Tensor, grid: Grid, inverse: Denoiser | None = None) -> Tensor:
        """ε′ = F(ε) = invert(denoise(ε)); `inverse` is the denoiser on the way back (another guidance), default u."""
        return self.invert(inverse or u, self.denoise(u, noise, grid), grid)

    def inverse_points(self, k: int) -> tuple[int, int]:
        """The points at which the network is told to be, and is read, for the inverse step from k + 1 to k."""
        told = k + 1 if self.evaluate_at == "current" else k
        return told, told if self.read_at == "told" else k + 1
