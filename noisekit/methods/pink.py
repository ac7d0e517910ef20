"""Pink noise: tilt the spectrum of the initial noise towards low frequencies.

    ε′ = unit(F⁻¹[(1 + f)^(−α)·F[ε]])        f = √(f_y² + f_x²), cycles an image        α = 0.2

with `unit` taking each channel to mean 0 and deviation 1: the start that divgen, arXiv 2601.00090, takes where white noise
collapses, as its public code draws it. The paper's text gives the amplitude f^(−α/2), which has no value at f = 0.
At α = 0.2 the cosine to the white noise is about 0.99, so most of what it does to small latents is that each channel's mean
goes: compare with `pink(alpha=0.0)`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from noisekit.methods.base import NoiseMethod
from noisekit.methods.parameters import parameter
from noisekit.models.base import Model
from noisekit.noise import NoiseSource
from noisekit.types import Candidate, Cost


@dataclass(frozen=True)
class Pink(NoiseMethod):
    """One candidate: the initial noise with a tilted spectrum. It has no score."""

    alpha: float = parameter("exponent α of the amplitude's fall", paper=0.2, at_least=0)
    standardise: bool = parameter("take each channel to mean 0 and deviation 1", default=True)

    name = "pink"

    @property
    def horizon(self) -> int:
        return 1

    def step_cost(self, model: Model) -> Cost:
        return Cost()

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        noise = tilted(source.initial, self.alpha)
        if self.standardise:
            deviation, mean = torch.std_mean(noise, (-2, -1), correction=0, keepdim=True)
            noise = (noise - mean) / deviation
        yield Candidate(noise)


def tilted(noise: Tensor, alpha: float) -> Tensor:
    """F⁻¹[(1 + f)^(−α)·F[ε]] (B, C, h, w), in fp32."""
    height, width = noise.shape[-2:]
    rows = torch.fft.fftfreq(height, 1 / height, device=noise.device)
    columns = torch.fft.rfftfreq(width, 1 / width, device=noise.device)
    amplitude = (1 + torch.hypot(rows[:, None], columns[None])) ** -alpha
    return torch.fft.irfft2(torch.fft.rfft2(noise.float()) * amplitude, s=(height, width))
