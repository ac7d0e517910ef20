"""Inversion: re-denoise the noise at inference, then sample from it. NPNet's training target as a method of its own.

    ε ← invert(denoise(ε, c; ω_l), c; ω_w)        over the first interval of the sampler's own grid, n times

Zhou et al. 2024, "Golden Noise for Diffusion Models", arXiv 2411.09502, the row "Inversion" of its tables: ω_w = 1, n = 1,
ω_l the guidance of sampling. Guidance is the public code's u(∅) + ω·(u(c) − u(∅)); Eq. 3 of the paper prints
(ω + 1)·u(c) − ω·u(∅), which is the code's at ω + 1. See `noisekit.solvers.re_denoise` for the step and its variants.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from noisekit.methods.base import NoiseMethod
from noisekit.methods.parameters import parameter
from noisekit.models.base import Marker, Model
from noisekit.noise import NoiseSource
from noisekit.solvers.base import EvaluateAt
from noisekit.solvers.diffusion import diffusion_only
from noisekit.solvers.re_denoise import ReDenoise, re_denoise
from noisekit.types import Candidate, Cost


@dataclass(frozen=True)
class Inversion(NoiseMethod):
    """One candidate: the noise after n re-denoisings. It has no score."""

    guidance: float | None = parameter("ω_l while denoising (None: the model's)", at_least=0)
    inversion_guidance: float = parameter("ω_w while inverting", paper=1.0, at_least=0)
    variant: ReDenoise = parameter("which interval is inverted", default="paper")
    evaluate_at: EvaluateAt = parameter("timestep told to the network while inverting", default="target")
    times: int = parameter("re-denoisings n", default=1, at_least=1)

    name = "inversion"
    version = 2

    @property
    def horizon(self) -> int:
        return 1

    @property
    def needs(self) -> tuple[Marker, ...]:
        return (Marker.INVERTIBLE,)

    def check(self, model: Model) -> None:
        super().check(model)
        if self.variant == "released":
            diffusion_only(model.sampler_grid(model.card.steps), "variant='released'", "variant='paper'")

    def step_cost(self, model: Model) -> Cost:
        strong, weak = self._guidances(model)
        return (model.predict_cost(strong) + model.predict_cost(weak)) * self.times

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        conditioning, grid = model.encode(prompts), model.sampler_grid(model.card.steps)
        strong, weak = self._guidances(model)
        noise = source.initial
        for _ in range(self.times):
            noise = re_denoise(
                lambda x, t: model.predict(x, t, conditioning, strong),
                lambda x, t: model.predict(x, t, conditioning, weak),
                noise,
                grid,
                self.variant,
                self.evaluate_at,
            )
        yield Candidate(noise)

    def _guidances(self, model: Model) -> tuple[float, float]:
        strong = model.card.guidance if self.guidance is None else self.guidance
        return strong, self.inversion_guidance
