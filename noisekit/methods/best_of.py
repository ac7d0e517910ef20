"""Best of n: run a method from n different noises and keep the image with the highest reward.

    ε* = argmax_k R(G(ε_k, c), c)        ε_k = what the method finds from the sample's k-th noise, k = 0…n−1

With the default method, standard sampling, this is best-of-n by a reward: what Ma et al. 2025, "Inference-Time Scaling for
Diffusion Models beyond Scaling Denoising Steps", arXiv 2501.09732, call random search. Their 3,840 evaluations of 30-step
sampling are n = 128; ImageReward is the strongest of their single verifiers on T2I-CompBench. Run 0 is the method's own run
on the standard noise; the others draw random numbers of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import repeat
from typing import Any, Self

from noisekit.errors import BadValue
from noisekit.methods.base import NoiseMethod
from noisekit.methods.best import better
from noisekit.methods.parameters import parameter
from noisekit.methods.rewarded import REWARD_DTYPE, REWARDS, WEIGHTS, Rewarded
from noisekit.methods.standard import Standard
from noisekit.methods.wrapper import Wrapper
from noisekit.models.base import Marker, Model
from noisekit.noise import NoiseSource
from noisekit.rewards import Precision
from noisekit.types import Candidate, Cost


@dataclass(frozen=True)
class BestOf(Wrapper, Rewarded):
    """Repeat a method, `best_of(reno(steps=5), n=4)`, or standard sampling, `best_of(n=17)`; a candidate is a whole run."""

    method: NoiseMethod = field(default_factory=Standard)
    n: int = parameter("runs, each from another noise", paper=128, at_least=1)
    rewards: str = parameter(REWARDS, paper="image_reward:1")
    weights: str = parameter(WEIGHTS)
    reward_dtype: Precision = parameter(REWARD_DTYPE, default="float32")

    name = "best_of"

    @property
    def wrapped(self) -> tuple[NoiseMethod, ...]:
        return () if self.method == Standard() else (self.method,)

    @classmethod
    def wrap(cls, methods: Sequence[NoiseMethod], settings: Mapping[str, Any]) -> Self:
        if len(methods) > 1:
            raise BadValue(
                f"method 'best_of' repeats one method, but {len(methods)} were given; join them, as in "
                f"best_of(then({', '.join(map(str, methods))}))"
            )
        return cls(methods[0] if methods else Standard(), **settings)

    @property
    def horizon(self) -> int:
        return self.n

    @property
    def needs(self) -> tuple[Marker, ...]:
        return self.method.needs

    @property
    def optimised(self) -> frozenset[str]:
        return super().optimised | self.method.optimised

    def step_cost(self, model: Model) -> Cost:
        scored = Cost(reward=self.judged_cost(model).reward)
        return self.method.cost(model) + scored

    def work(self, model: Model) -> Iterator[float]:
        """What the method computes in each run, and the rewards of its image."""
        scored = self.judged_cost(model).reward * self.flops("reward", model)
        return repeat(self.method.whole_work(model) + scored, self.n)

    def delivers_images(self, _model: Model) -> bool:
        return True

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        judge = self.judge(model, prompts, source)
        searches = self.method.horizon > 0
        together = 1 if searches else max(1, model.card.batch // len(prompts))
        for first in range(0, self.horizon, together):
            runs = range(first, min(first + together, self.horizon))
            yield from judge([self._found(model, prompts, source, k) for k in runs])

    def planned(self, candidates: int) -> BestOf:
        """Start only as many runs as the budget allows."""
        return replace(self, n=max(1, candidates))

    def _found(self, model: Model, prompts: Sequence[str], source: NoiseSource, k: int) -> Candidate:
        """The best noise of run k by the method's own objective."""
        own = source if k == 0 else source.starting_at(source.draw(k), f"run {k}")
        return reduce(better, self.method.search(model, prompts, own), Candidate(own.initial))
