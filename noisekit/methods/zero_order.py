"""Zero-order search: walk from noise to noise, each time to the best of a few random neighbours.

    ε_j = ρ·ε + √(1 − ρ²)·ξ_j        j = 1…N,  ξ_j ~ N(0, I), N = 4, ρ = 0.95
    ε  ← argmax_j R(ε_j)

Ma, Tong, Jia, Hu, Su, Zhang, Yang, Li, Jaakkola, Jia, Xie 2025, "Inference-Time Scaling for Diffusion Models beyond Scaling
Denoising Steps", arXiv 2501.09732, section 3.2 (ZO-N). There the best neighbour becomes the pivot even when the pivot scores
higher: the pivot is not in the race, though the best image of the whole walk is delivered. `stay=True` keeps it in the
race, as public code does. The paper's neighbourhood is a sphere of any distance; a cosine keeps the noise standard normal.
Its 3,840 evaluations of 30-step sampling are 128 images, 32 steps of 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain, repeat

from noisekit.methods.best import better
from noisekit.methods.parameters import parameter
from noisekit.methods.random_search import neighbour
from noisekit.methods.rewarded import REWARD_DTYPE, REWARDS, WEIGHTS, Rewarded
from noisekit.models.base import Model
from noisekit.noise import NoiseSource
from noisekit.rewards import Precision
from noisekit.types import Candidate, Cost


@dataclass(frozen=True)
class ZeroOrder(Rewarded):
    """n steps of the pivot: candidate 0 is the standard noise, every other one the best neighbour of its step."""

    steps: int = parameter("steps n of the pivot", paper=32, at_least=1)
    neighbours: int = parameter("neighbours N a step, one image each", default=4, at_least=1)
    similarity: float = parameter(
        "cosine ρ between the pivot and a neighbour", default=0.95, at_least=0, at_most=1
    )
    stay: bool = parameter("stay where no neighbour is better", default=False)
    rewards: str = parameter(REWARDS, paper="image_reward:1")
    weights: str = parameter(WEIGHTS)
    reward_dtype: Precision = parameter(REWARD_DTYPE, default="float32")

    name = "zero_order"

    @property
    def horizon(self) -> int:
        return self.steps + 1

    def step_cost(self, model: Model) -> Cost:
        return self.judged_cost(model) * self.neighbours

    def schedule(self, model: Model) -> Iterator[Cost]:
        return chain([self.judged_cost(model)], repeat(self.step_cost(model), self.horizon - 1))

    def delivers_images(self, _model: Model) -> bool:
        return True

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        judge = self.judge(model, prompts, source)
        (pivot,) = judge([Candidate(source.initial)])
        yield pivot
        for i in range(self.horizon - 1):
            fresh = [source.step(i * self.neighbours + j) for j in range(self.neighbours)]
            around = judge([Candidate(neighbour(pivot.noise, xi, self.similarity)) for xi in fresh])
            best = reduce(better, around)
            yield best
            pivot = better(pivot, best) if self.stay else best
