"""Preconditioned Crank–Nicolson: a random walk over noises that keeps them normal, and prefers those of higher reward.

    ε′ = ρ·ε + √(1 − ρ²)·ξ            ξ ~ N(0, I)
    ε ← ε′ with probability min(1, exp(λ·(R(ε′) − R(ε))))

The proposal leaves N(0, I) as it is, so the walk's own distribution is N(ε; 0, I)·exp(λ·R(ε)) up to a constant, whatever ρ:
noises stay plausible by construction, and λ says how far they lean towards the reward (λ = ∞ is `random_search`). Cotter,
Roberts, Stuart, White 2013, "MCMC methods for functions: modifying old algorithms to make them faster", arXiv 1202.0709;
over initial noises the first stage of "Ψ-Sampler", arXiv 2506.01320, adds the reward's gradient to the proposal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from noisekit.methods.best import chosen
from noisekit.methods.parameters import parameter
from noisekit.methods.random_search import neighbour
from noisekit.methods.rewarded import REWARD_DTYPE, REWARDS, WEIGHTS, Rewarded
from noisekit.models.base import Model
from noisekit.noise import NoiseSource
from noisekit.rewards import Precision
from noisekit.types import Candidate, Cost


@dataclass(frozen=True)
class PCN(Rewarded):
    """Candidate 0 is the standard noise, candidate i where the walk stands after i proposals; the best is delivered."""

    steps: int = parameter("proposals n; one image more", default=127, at_least=1)
    similarity: float = parameter(
        "cosine ρ between a noise and a proposal", default=0.95, at_least=0, at_most=1
    )
    strength: float = parameter("λ of the reward", default=10.0, at_least=0)
    rewards: str = parameter(REWARDS, default="image_reward:1")
    weights: str = parameter(WEIGHTS)
    reward_dtype: Precision = parameter(REWARD_DTYPE, default="float32")

    name = "pcn"
    cards = {"tiny": {"steps": 16}, "tiny-turbo": {"steps": 59}}

    @property
    def horizon(self) -> int:
        return self.steps + 1

    def step_cost(self, model: Model) -> Cost:
        return self.judged_cost(model)

    def delivers_images(self, _model: Model) -> bool:
        return True

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        judge = self.judge(model, prompts, source)
        (state,) = judge([Candidate(source.initial)])
        yield state
        for i in range(self.steps):
            (new,) = judge([Candidate(neighbour(state.noise, source.step(i), self.similarity))])
            before, after = state.info["reward"], new.info["reward"]
            odds = (self.strength * (after - before)).exp()
            accepted = ((source.uniform(i) < odds) | ~before.isfinite()) & after.isfinite()
            state = chosen(accepted, new, state)
            figures = {
                "reward": torch.where(accepted, after, before),
                "norm": state.noise.flatten(1).norm(dim=1),
                "accepted": accepted.float(),
            }
            state = replace(state, info=figures)
            yield state
