"""Random search: propose one random neighbour of the best noise a step, and move there when its image scores higher.

    ε′ = ρ·ε + √(1 − ρ²)·ξ        ξ ~ N(0, I), ρ = 0.95
    ε ← ε′ where R(ε′) > R(ε)

A neighbour of a standard normal noise is standard normal again, at a cosine of about ρ from it. Local random search:
Rastrigin 1963, "The convergence of the random search method in the extremal control of a many parameter system". What Ma
et al. 2025, "Inference-Time Scaling for Diffusion Models beyond Scaling Denoising Steps", arXiv 2501.09732, call random
search is the best of n independent noises, here `best_of`; the published number of steps is theirs: 3,840 evaluations of
30-step sampling, which is 128 images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from noisekit.methods.best import better
from noisekit.methods.parameters import parameter
from noisekit.methods.rewarded import REWARD_DTYPE, REWARDS, WEIGHTS, Rewarded
from noisekit.models.base import Model
from noisekit.noise import NoiseSource
from noisekit.rewards import Precision
from noisekit.types import Candidate, Cost


@dataclass(frozen=True)
class RandomSearch(Rewarded):
    """Hill climbing by a reward without its gradient: n neighbours, one after another, candidate 0 the standard noise."""

    steps: int = parameter("neighbours n; one image more", paper=127, at_least=1)
    similarity: float = parameter(
        "cosine ρ between a noise and its neighbour", default=0.95, at_least=0, at_most=1
    )
    rewards: str = parameter(REWARDS, paper="image_reward:1")
    weights: str = parameter(WEIGHTS)
    reward_dtype: Precision = parameter(REWARD_DTYPE, default="float32")

    name = "random_search"

    @property
    def horizon(self) -> int:
        return self.steps + 1

    def step_cost(self, model: Model) -> Cost:
        return self.judged_cost(model)

    def delivers_images(self, _model: Model) -> bool:
        return True

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        judge = self.judge(model, prompts, source)
        (best,) = judge([Candidate(source.initial)])
        yield best
        for i in range(self.horizon - 1):
            (new,) = judge([Candidate(neighbour(best.noise, source.step(i), self.similarity))])
            yield new
            best = better(best, new)


def neighbour(noise: Tensor, fresh: Tensor, cosine: float) -> Tensor:
    """ρ·ε + √(1 − ρ²)·ξ (B, C, h, w): of unit variance where ε and ξ are."""
    return cosine * noise + (1 - cosine**2) ** 0.5 * fresh
