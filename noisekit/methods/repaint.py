"""Repaint: take the sampler's first step, add fresh noise back, and sample again from there.

    x_1 = denoise(ε, c; ω)        ε′ = (a_0/a_1)·x_1 + √(1 − a_0²/a_1²)·η        η ~ N(0, I), a = √ā

over the first interval of the sampler's own grid, points 0 and 1. The second line is the forward process from level 1 to
level 0, so ε′ stands where ε stood and is an initial noise like any other. Nothing needs rescaling: states here are
variance-preserving, and an element of ε′ has the variance 1 + (a_0/a_1)²·(Var x_1 − 1), which is 1 wherever x_1 has
unit variance and nearer to it than x_1 otherwise.

Zhou et al. 2024, "Golden Noise for Diffusion Models", arXiv 2411.09502, the row "Repaint" of its tables. The paper says no
more than that fresh noise is added back after step 1 and denoised again; the line above reads it as one jump of RePaint
(Lugmayr et al. 2022, arXiv 2201.09865) at the guidance of sampling.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from noisekit.methods.base import NoiseMethod
from noisekit.methods.parameters import parameter
from noisekit.models.base import Marker, Model
from noisekit.noise import NoiseSource
from noisekit.solvers.re_denoise import kept_share, repaint
from noisekit.types import Candidate, Cost


@dataclass(frozen=True)
class Repaint(NoiseMethod):
    """One candidate: the noise after one jump there and back. It has no score."""

    guidance: float | None = parameter("ω of the first step (None: the model's)", at_least=0)

    name = "repaint"
    version = 2

    @property
    def horizon(self) -> int:
        return 1

    @property
    def needs(self) -> tuple[Marker, ...]:
        return (Marker.INVERTIBLE,)

    def check(self, model: Model) -> None:
        super().check(model)
        kept_share(model.sampler_grid(model.card.steps))

    def step_cost(self, model: Model) -> Cost:
        return model.predict_cost(self._guidance(model))

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        conditioning, grid = model.encode(prompts), model.sampler_grid(model.card.steps)
        guidance = self._guidance(model)

        def u(x: Tensor, t: Tensor) -> Tensor:
            return model.predict(x, t, conditioning, guidance)

        yield Candidate(repaint(u, source.initial, source.step(0), grid))

    def _guidance(self, model: Model) -> float:
        return model.card.guidance if self.guidance is None else self.guidance
