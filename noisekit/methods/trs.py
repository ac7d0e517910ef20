"""Trust-region noise search: proposals in cubes around the best noises so far, whose sides grow with success.

    ε_j = c_i + m·u        u ~ U(−l_i/2, l_i/2)^d,  m ~ Bernoulli(p)^d, at least one,  p ~ U(0.1, 0.9)
    l_i ← f·l_i after 3 rounds in a row that beat R(c_i), l_i/f after 3 that do not, l_init once it would fall below l_min
    c_1…c_k ← the k best noises of the whole search; lengths and counters belong to the rank, not to the noise

Trust-region noise search, arXiv 2603.14504: a round of 20 proposals over k = 15 regions, 1 each and the remainder to the
best, after 80 noises from the prior, 400 images in all; l = 0.8 between 0.05 and 2.4, f = 1.5. Its Sobol points are plain
uniform ones here, and the public code's cap on p where p and l are both large is left out. Each accepted move adds about
p·l²/12 to the variance and nothing takes it back: watch the norm, or give renormalise=True, which scales every proposal to
the length √d of normal noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import chain, repeat

import torch
from torch import Tensor

from noisekit.errors import BadValue
from noisekit.methods.best import better, elites
from noisekit.methods.parameters import parameter
from noisekit.methods.rewarded import REWARD_DTYPE, REWARDS, WEIGHTS, Rewarded
from noisekit.models.base import Model
from noisekit.noise import NoiseSource, per_sample
from noisekit.rewards import Precision
from noisekit.types import Candidate, Cost

#: Rounds in a row after which a cube grows or shrinks.
PATIENCE = 3


@dataclass(frozen=True)
class TRS(Rewarded):
    """The warm-up's noises are candidates one by one, and then the best proposal of every round."""

    warm_up: int = parameter("noises from the prior; the first is the standard one", paper=80, at_least=1)
    rounds: int = parameter("rounds of proposals", paper=16, at_least=0)
    proposals: int = parameter("images of a round", paper=20, at_least=1)
    regions: int = parameter("cubes k", paper=15, at_least=1)
    length: float = parameter("side l_init of a cube", paper=0.8, at_least=0)
    shortest: float = parameter("l_min", paper=0.05, at_least=0)
    longest: float = parameter("l_max", paper=2.4, at_least=0)
    factor: float = parameter("f by which a side grows and shrinks", paper=1.5, at_least=1)
    renormalise: bool = parameter("scale every proposal to the length √d", default=False)
    rewards: str = parameter(REWARDS, paper="image_reward:1")
    weights: str = parameter(WEIGHTS)
    reward_dtype: Precision = parameter(REWARD_DTYPE, default="float32")

    name = "trs"
    # 17 and 60 images, as the other searches there
    cards = {
        "tiny": {"warm_up": 5, "rounds": 3, "proposals": 4, "regions": 3},
        "tiny-turbo": {"warm_up": 12, "rounds": 6, "proposals": 8, "regions": 4},
    }

    @property
    def horizon(self) -> int:
        return self.warm_up + self.rounds

    def check(self, model: Model) -> None:
        super().check(model)
        if self.rounds and self.regions > min(self.warm_up, self.proposals):
            raise BadValue(
                f"method 'trs' has {self.regions} regions, and needs as many noises to begin with (warm_up={self.warm_up}) "
                f"and as many proposals a round (proposals={self.proposals}); give fewer regions"
            )

    def step_cost(self, model: Model) -> Cost:
        return self.judged_cost(model) * self.proposals

    def schedule(self, model: Model) -> Iterator[Cost]:
        first = repeat(self.judged_cost(model), self.warm_up)
        return chain(first, repeat(self.step_cost(model), self.rounds))

    def delivers_images(self, _model: Model) -> bool:
        return True

    def planned(self, candidates: int) -> TRS:
        """Start only what the budget allows."""
        warm_up = max(1, min(self.warm_up, candidates))
        return replace(self, warm_up=warm_up, rounds=max(0, candidates - warm_up))

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        judge, found = self.judge(model, prompts, source), list[Candidate]()
        together = max(1, model.card.batch // len(prompts))
        for first in range(0, self.warm_up, together):
            draws = range(first, min(first + together, self.warm_up))
            found += judge([Candidate(source.draw(k)) for k in draws])
            yield from found[first:]
        regions = Regions(
            self, torch.stack([c.noise for c in found]), torch.stack([c.info["reward"] for c in found])
        )
        for i in range(self.rounds):
            new = judge([Candidate(noise) for noise in regions.proposals(source, i)])
            yield reduce(better, new)
            regions.learn(torch.stack([c.noise for c in new]), torch.stack([c.info["reward"] for c in new]))


class Regions:
    """The k cubes of every sample by rank: centres (k, B, C, h, w), their scores, and sides and counters (k, B)."""

    def __init__(self, method: TRS, noises: Tensor, scores: Tensor) -> None:
        self.method = method
        #: The region of every proposal: as many each, and the remainder to the best.
        self.of = sorted(j % method.regions for j in range(method.proposals))
        self.centres = elites(noises, scores, method.regions)
        self.scores = elites(scores, scores, method.regions)
        self.lengths = torch.full_like(self.scores, method.length)
        self.successes = self.failures = torch.zeros_like(self.scores)

    def proposals(self, source: NoiseSource, i: int) -> Iterator[Tensor]:
        """The noises (B, C, h, w) of round i, one after another."""
        for j, region in enumerate(self.of):
            number, centre = i * len(self.of) + j, self.centres[region]
            coins = source.uniform(2 * number + 1, 1 + centre[0].numel())
            share, coins = coins[:, :1], coins[:, 1:]
            moved = coins < 0.1 + 0.8 * share
            moved |= coins == coins.amin(1, keepdim=True)
            side = per_sample(self.lengths[region], centre)
            noise = centre + moved.view_as(centre) * side * (
                source.uniform(2 * number, *centre.shape[1:]) - 0.5
            )
            if self.method.renormalise:
                noise = noise * centre[0].numel() ** 0.5 / per_sample(noise.flatten(1).norm(dim=1), noise)
            yield noise

    def learn(self, noises: Tensor, scores: Tensor) -> None:
        """Grow and shrink by what a round's proposals (n, B, C, h, w) scored (n, B), and centre on the best of all."""
        method, regions = self.method, torch.tensor(self.of, device=scores.device)
        best = torch.stack([scores[regions == i].amax(0) for i in range(method.regions)])
        success = best > self.scores
        self.successes = torch.where(success, self.successes + 1, 0)
        self.failures = torch.where(success, 0, self.failures + 1)
        grown = (self.lengths * method.factor).clamp(max=method.longest)
        at_end = self.lengths <= method.shortest
        shrunk = torch.where(at_end, method.length, (self.lengths / method.factor).clamp(min=method.shortest))
        many, few = self.successes == PATIENCE, self.failures == PATIENCE
        self.lengths = torch.where(many, grown, torch.where(few, shrunk, self.lengths))
        self.successes, self.failures = self.successes * ~many, self.failures * ~few
        everything = torch.cat([self.scores, scores])
        self.centres = elites(torch.cat([self.centres, noises]), everything, method.regions)
        self.scores = elites(everything, everything, method.regions)
