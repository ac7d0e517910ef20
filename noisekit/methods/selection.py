"""Inversion-stability selection: of K noises take the one that survives the round trip best.

    ε* = argmax_k s(ε_k)        s(ε) = cos(ε, invert(denoise(ε, c), c))

Qi, Bai, Xiong, Xie 2024, "Not All Noises Are Created Equally", Algorithm 1; K = 100. No image is decoded while ranking.
The paper's tables set the most stable seed against the LEAST stable one (`pick="unstable"`), not against a random one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from noisekit.methods.parameters import parameter
from noisekit.methods.round_trip import RoundTripMethod, cosine_similarity
from noisekit.models.base import Model
from noisekit.noise import NoiseSource, published_noise
from noisekit.types import Candidate, Cost


@dataclass(frozen=True)
class Selection(RoundTripMethod):
    """Choose among K candidates by inversion stability.

    pool "own" lets every sample draw its own K candidates, the first being its standard noise; "paper" uses the fixed
    seeds 0…K−1 for every prompt and sample seed, as published.
    """

    candidates: int = parameter("number of candidate noises K", paper=100, at_least=1)
    pick: Literal["stable", "unstable"] = parameter("which end of the ranking to keep", default="stable")
    pool: Literal["own", "paper"] = parameter("where candidates come from", default="own")

    name = "selection"

    @property
    def horizon(self) -> int:
        return self.candidates

    def step_cost(self, model: Model) -> Cost:
        return self.round_trip_cost(model)

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        recovered = self.round_trip(model, prompts)
        together = max(1, model.card.batch // len(prompts))
        for start in range(0, self.horizon, together):
            noises = [self._candidate(source, k) for k in range(start, min(start + together, self.horizon))]
            stacked = torch.cat(noises)
            stability = cosine_similarity(stacked, recovered(stacked))
            for noise, stable in zip(noises, stability.split(len(prompts)), strict=True):
                score = stable if self.pick == "stable" else -stable
                yield Candidate(noise, score, info={"stability": stable})

    def planned(self, candidates: int) -> Selection:
        """Rank only as many candidates as the budget allows."""
        return replace(self, candidates=max(1, candidates))

    def _candidate(self, source: NoiseSource, k: int) -> Tensor:
        if self.pool == "own":
            return source.draw(k)
        return published_noise(k, source.shape).to(source.device).expand(len(source), *source.shape)
