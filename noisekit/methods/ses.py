"""Spectral evolution search: the cross-entropy method over the low band of the noise, its details kept.

    c_j ~ N(m, diag(v)),  j = 1…N,  m = 0 and v = 1 at first      ε_j = ε with the low band c_j        (see `low_band`)
    m, v ← mean and variance of the K best c of all generations so far,  v + 1e-7
    deliver the best ε_j of all

SES, arXiv 2602.03208, as a public implementation runs it: N = 10, K = 5, ℓ = 4, 30 evaluations (its
documentation advises 50), each a preview of 10 steps of the sampler; the best noise is then sampled in full. 4 × 64² numbers
of noise have a low band of 64. Here the noise's own low band is evaluated first, as candidate 0. Previews and full images
are different maps, and the score is of the previews; a model that takes no more steps than a preview has
none. The figure "spread" of the trace, √mean v, shows when the search distribution has collapsed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import chain, repeat

import torch
from torch import Tensor

from noisekit.methods.best import better, elites
from noisekit.methods.low_band import LEVEL, check_level, low_band, with_low_band
from noisekit.methods.parameters import parameter
from noisekit.methods.rewarded import REWARD_DTYPE, REWARDS, WEIGHTS, Rewarded
from noisekit.models.base import Model
from noisekit.noise import NoiseSource
from noisekit.rewards import Precision
from noisekit.types import Candidate, Cost


@dataclass(frozen=True)
class SES(Rewarded):
    """Candidate 0 is the standard noise, every other one the best of its generation, seen in previews."""

    generations: int = parameter("generations; N evaluations each", paper=3, at_least=1)
    samples: int = parameter("evaluations N of a generation", paper=10, at_least=1)
    elites: int = parameter("the K best that give mean and variance", paper=5, at_least=2)
    level: int = parameter(LEVEL, paper=4, at_least=1, at_most=12)
    preview_steps: int = parameter(
        "sampler steps of an evaluation, at most the model's", paper=10, at_least=1
    )
    rewards: str = parameter(REWARDS, paper="image_reward:1")
    weights: str = parameter(WEIGHTS)
    reward_dtype: Precision = parameter(REWARD_DTYPE, default="float32")

    name = "ses"
    # about 272 calls an image on tiny and 60 on tiny-turbo, as the other searches there
    cards = {"tiny": {"level": 2, "preview_steps": 4}, "tiny-turbo": {"level": 2, "generations": 6}}

    @property
    def horizon(self) -> int:
        return self.generations + 1

    def check(self, model: Model) -> None:
        super().check(model)
        check_level(self.name, self.level, model)

    def delivers_images(self, model: Model) -> bool:
        return self.preview_steps >= model.card.steps

    def step_cost(self, model: Model) -> Cost:
        return self._evaluation(model) * self.samples

    def schedule(self, model: Model) -> Iterator[Cost]:
        return chain([self._evaluation(model)], repeat(self.step_cost(model), self.generations))

    def _evaluation(self, model: Model) -> Cost:
        return model.sample_cost(self._steps(model)) + Cost(reward=self.looks(model))

    def _steps(self, model: Model) -> int:
        return min(self.preview_steps, model.card.steps)

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        judge, noise = self.judge(model, prompts, source, self._steps(model)), source.initial
        evaluated = judge([Candidate(noise)])
        bands, scores = low_band(noise, self.level)[None], evaluated[0].info["reward"][None]
        mean, variance = torch.zeros_like(bands[0]), torch.ones_like(bands[0])
        yield self._shown(model, evaluated, variance)
        for g in range(self.generations):
            fresh = [low_band(source.step(g * self.samples + j), self.level) for j in range(self.samples)]
            new = [mean + variance.sqrt() * z for z in fresh]
            evaluated = judge([Candidate(with_low_band(noise, band, self.level)) for band in new])
            yield self._shown(model, evaluated, variance)
            bands = torch.cat([bands, torch.stack(new)])
            scores = torch.cat([scores, torch.stack([candidate.info["reward"] for candidate in evaluated])])
            best = elites(bands, scores, self.elites)
            variance, mean = torch.var_mean(best, 0)
            variance = variance + 1e-7

    def _shown(self, model: Model, evaluated: Sequence[Candidate], variance: Tensor) -> Candidate:
        """The best of a generation, without its image where that is a preview."""
        best = reduce(better, evaluated)
        info = {**best.info, "spread": variance.flatten(1).mean(1).sqrt()}
        return replace(best, images=best.images if self.delivers_images(model) else None, info=info)
