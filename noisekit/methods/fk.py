"""FK steering: K walks of a stochastic sampler, resampled at some points by the reward of the clean image foreseen there.

    r_i = R(decode(x̂_0))  at point i of m,  r the final image's        w ← w·G_i

    "diff"   G_i = exp(λ·(r_i − r_{i−1})),  r_0 = 0
    "max"    G_i = exp(λ·max(r_1, …, r_i))
    "add"    G_i = exp(λ·(r_1 + … + r_i))

along a particle's own ancestors; at the end G = exp(λ·r) over the product of all G_i before, so that the weighted particles
have the sampler's distribution times exp(λ·r), whatever the potential. Singhal, Horvitz, Teehan, Ren, Yu, McKeown, Ranganath
2025, "A General Framework for Inference-time Scaling and Steering of Diffusion Models", arXiv 2501.06848: η = 1, λ = 10,
K = 4, "max", every 20 of 100 steps from 20 to 80; scripts also run "diff" every 5 from 5 to 30. For other numbers of
steps these are scaled. adaptive=True resamples a sample only where its ESS is below K/2, and its weights then go on;
public code drops them. Resampled is the state that was looked at, before its step. Each run delivers its best image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from noisekit.methods.parameters import parameter
from noisekit.methods.particles import Particles, Walking, gathered
from noisekit.methods.rewarded import REWARD_DTYPE, REWARDS, WEIGHTS
from noisekit.models.base import Model
from noisekit.models.cards import Card
from noisekit.noise import NoiseSource
from noisekit.rewards import Precision
from noisekit.types import Candidate, Cost

#: Steps of the sampler that the published points are of.
PUBLISHED_STEPS = 100


@dataclass(frozen=True)
class FK(Walking):
    """A candidate is a whole run: the best of K particles, with all noises of its walk; particle 0 is the standard one."""

    particles: int = parameter("walks K of a run", paper=4, at_least=1)
    strength: float = parameter("λ of the reward; 0 never resamples for it", paper=10.0, at_least=0)
    potential: Literal["max", "diff", "add"] = parameter("what the weights are made of", paper="max")
    start: int = parameter("first step that is looked at", paper=20, at_least=0)
    every: int = parameter("steps from one to the next", paper=20, at_least=1)
    stop: int = parameter("last step that is looked at, at most", paper=80, at_least=0)
    adaptive: bool = parameter("resample only where the ESS is below K/2", default=True)
    runs: int = parameter("runs, each of K other walks", default=1, at_least=1)
    rewards: str = parameter(REWARDS, paper="image_reward:1")
    weights: str = parameter(WEIGHTS)
    reward_dtype: Precision = parameter(REWARD_DTYPE, default="float32")

    name = "fk"
    cards = {"tiny": {"particles": 17}}  # 272 calls an image, as best_of's there

    @property
    def horizon(self) -> int:
        return self.runs

    def usual(self, card: Card) -> Mapping[str, Any]:
        """The published points, scaled to the steps of the model."""
        share = card.steps / PUBLISHED_STEPS
        every = max(1, round(20 * share))
        scaled = {"start": every, "every": every, "stop": round(80 * share)}
        return {**super().usual(card), **scaled}

    def points(self, steps: int) -> range:
        """The steps that are looked at."""
        return range(self.start, min(self.stop + 1, steps), self.every)

    def step_cost(self, model: Model) -> Cost:
        looks, rewards = len(self.points(model.card.steps)), self.looks(model)
        walk = model.sample_cost() + Cost(decoder=looks, reward=(looks + 1) * rewards)
        return walk * self.particles

    def planned(self, candidates: int) -> FK:
        """Start only as many runs as the budget allows."""
        return replace(self, runs=max(1, candidates))

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        reward, texts = self.reward(model.device), list(prompts) * self.particles
        conditioning, deviations = model.encode(prompts).repeat(self.particles), model.deviations()
        points = self.points(len(deviations))
        for run in range(self.runs):
            walks = Particles(model, source, run * self.particles, self.particles)
            tally = torch.full_like(
                walks.noise.flatten(1)[:, 0], -torch.inf if self.potential == "max" else 0.0
            )
            spent = torch.zeros_like(tally)  # log of the potentials so far, over λ
            for k, v in enumerate(deviations):
                mean, clean = model.transition(walks.state, k, conditioning, None)
                if k in points:
                    tally, gain = self._gain(reward(model.decode(clean), texts), tally)
                    spent = spent + gain
                    walks.weigh(self.strength * gain)
                    uniforms = source.uniform(run * len(deviations) + k, 1)
                    chosen = walks.resample(k, uniforms, self.adaptive)
                    mean, tally, spent = (gathered(x, chosen) for x in (mean, tally, spent))
                walks.state = mean + v * walks.injected[:, k]
            images = model.decode(walks.state)
            rewards = reward(images, texts)
            walks.weigh(self.strength * (rewards - spent))
            yield walks.best(rewards, images)

    def _gain(self, rewards: Tensor, tally: Tensor) -> tuple[Tensor, Tensor]:
        """What the next look remembers, and log G_i over λ."""
        if self.potential == "diff":
            return rewards, rewards - tally
        tally = torch.maximum(tally, rewards) if self.potential == "max" else tally + rewards
        return tally, tally
