"""Inversion stability: how well a noise survives the round trip through the model.

    s(ε) = cos(ε, ε′)        ε′ = F(ε) = invert(denoise(ε, c), c)

over the whole latent, per sample; both directions on one time grid of T steps. Qi, Bai, Xiong, Xie 2024, "Not All Noises
Are Created Equally", Eq. 3. The paper leaves guidance open: here both directions use the model's unless told otherwise.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from noisekit.methods.base import NoiseMethod
from noisekit.methods.parameters import parameter
from noisekit.models.base import Marker, Model
from noisekit.solvers import SOLVERS, EulerAt, ReadAt, Solver
from noisekit.solvers.diffusion import diffusion_only
from noisekit.types import Cost


@dataclass(frozen=True)
class RoundTripMethod(NoiseMethod, ABC):
    """A method whose objective is inversion stability."""

    round_trip_steps: int | Literal["sampler"] = parameter(
        "denoising steps T of the round trip ('sampler': those of the model's sampler)", paper=10, at_least=1
    )
    solver: Literal["ddim", "dpm", "euler"] = parameter("solver (ddim: the model's own ODE)", default="ddim")
    evaluate_at: EulerAt = parameter(
        "timestep told to the network while inverting; 'literal' of euler: as target, scaling the state for it, too",
        default="target",
    )
    read_at: ReadAt = parameter("level at which its answer is read while inverting", default="told")
    guidance: float | None = parameter("guidance scale of the round trip (None: the model's)", at_least=0)
    inversion_guidance: float | None = parameter("guidance while inverting (None: as denoising)", at_least=0)

    objective = "inversion stability"

    @property
    def needs(self) -> tuple[Marker, ...]:
        return (Marker.INVERTIBLE,)

    def check(self, model: Model) -> None:
        super().check(model)
        self._solver()
        if self.solver != "ddim":
            diffusion_only(model.grid(self.steps_of_trip(model)), f"solver={self.solver!r}", "solver='ddim'")

    def steps_of_trip(self, model: Model) -> int:
        """T on a model."""
        return self.round_trip_steps if isinstance(self.round_trip_steps, int) else model.card.steps

    def round_trip(self, model: Model, prompts: Sequence[str]) -> Callable[[Tensor], Tensor]:
        """F for noise (n·B, C, h, w), any whole number n of copies of the batch of prompts one after another."""
        conditioning = model.encode(prompts)
        grid = model.grid(self.steps_of_trip(model))
        solver = self._solver()
        there, back = self._guidances(model)

        def recovered(noise: Tensor) -> Tensor:
            copies = conditioning.repeat(len(noise) // len(conditioning))
            return solver.round_trip(
                lambda x, t: model.predict(x, t, copies, there),
                noise,
                grid,
                inverse=lambda x, t: model.predict(x, t, copies, back),
            )

        return recovered

    def _solver(self) -> Solver:
        return SOLVERS[self.solver](evaluate_at=self.evaluate_at, read_at=self.read_at)

    def round_trip_cost(self, model: Model) -> Cost:
        """One round trip of one noise."""
        there, back = self._guidances(model)
        return (model.predict_cost(there) + model.predict_cost(back)) * self.steps_of_trip(model)

    def _guidances(self, model: Model) -> tuple[float, float]:
        there = model.card.guidance if self.guidance is None else self.guidance
        return there, there if self.inversion_guidance is None else self.inversion_guidance


def cosine_similarity(a: Tensor, b: Tensor) -> Tensor:
    """Cosine similarity (B,) of two batches (B, ...), each sample flattened."""
    return torch.cosine_similarity(a.flatten(1), b.flatten(1))
