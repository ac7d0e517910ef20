"""DAS: sequential Monte Carlo along a stochastic sampler whose steps climb a tempered reward.

    ξ′ = ξ + v_k·λ_{k+1}·∇_{x_k} r_k/α        r_k = R(decode(x̂_0(x_k)))        λ_k = min((1 + γ)^k − 1, 1)
    log w += log p(ξ′) − log q(ξ′) + (λ_{k+1}·r_{k+1} − λ_k·r_k)/α               p = N(0, I),  q = N(ξ′ − ξ, I)

and a sample is resampled where its ESS falls below K/2. The weighted particles have the sampler's distribution times
exp(r/α), and since steps go where the reward is, few of them suffice. Kim, Kim, Park 2025, "Test-time Alignment of Diffusion
Models without Reward Over-optimization", arXiv 2501.05803: η = 1, K = 4, γ = 0.008 at 100 steps, so that λ is 1 from step 87
on; at other numbers of steps γ is scaled to keep that share. α goes with the scale of the reward and has to be chosen with
it: 0.005 for aesthetic, 0.01 for CLIP's, 0.0001 for PickScore's. The last step injects next to nothing and is not steered.
Public code resamples by SSP and delivers the particle of largest weight; here it is systematic, and the best image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from noisekit.methods.parameters import parameter
from noisekit.methods.particles import Particles, Walking, gathered
from noisekit.methods.rewarded import REWARD_DTYPE, REWARDS, WEIGHTS
from noisekit.models.base import Conditioning, Marker, Model
from noisekit.models.cards import Card
from noisekit.noise import NoiseSource
from noisekit.rewards import Precision
from noisekit.types import Candidate, Cost


@dataclass(frozen=True)
class DAS(Walking):
    """A candidate is a whole run: the best of K particles, with all noises of its walk. Takes the gradient of one step."""

    particles: int = parameter("walks K of a run", paper=4, at_least=1)
    alpha: float = parameter("α that the reward is divided by; chosen with it", paper=0.005, at_least=1e-9)
    gamma: float = parameter("γ of the tempering", paper=0.008, at_least=0)
    runs: int = parameter("runs, each of K other walks", default=1, at_least=1)
    rewards: str = parameter(REWARDS, paper="aesthetic:1")
    weights: str = parameter(WEIGHTS)
    reward_dtype: Precision = parameter(REWARD_DTYPE, default="float32")

    name = "das"
    # 264 calls an image on tiny, near the other searches there; α chosen on prompts that no table reports
    cards = {"tiny": {"particles": 6, "alpha": 0.3, "rewards": "image_reward:1"}}

    @property
    def horizon(self) -> int:
        return self.runs

    @property
    def needs(self) -> tuple[Marker, ...]:
        return (Marker.STOCHASTIC, Marker.DIFFERENTIABLE)

    def usual(self, card: Card) -> Mapping[str, Any]:
        """γ with which λ is 1 at the published share of the steps: (1 + γ)^(0.87·n) = 2."""
        published = card.steps == 100
        return {
            **super().usual(card),
            **({} if published else {"gamma": round(2 ** (1 / (0.87 * card.steps)) - 1, 4)}),
        }

    def tempering(self, k: int, steps: int) -> float:
        """λ_k; 1 for the final image."""
        return 1.0 if k == steps else min((1 + self.gamma) ** k - 1, 1.0)

    def step_cost(self, model: Model) -> Cost:
        walk, looks, rewards = model.sample_cost(), model.card.steps, self.looks(model)
        steered = looks - 1
        backward = walk.denoiser / looks * steered
        once = Cost(walk.denoiser, backward, looks + 1, steered, (looks + 1) * rewards, steered * rewards)
        return once * self.particles

    def planned(self, candidates: int) -> DAS:
        """Start only as many runs as the budget allows."""
        return replace(self, runs=max(1, candidates))

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        reward, texts = self.reward(model.device), list(prompts) * self.particles
        conditioning, deviations = model.encode(prompts).repeat(self.particles), model.deviations()
        steps = len(deviations)
        for run in range(self.runs):
            walks = Particles(model, source, run * self.particles, self.particles)
            counted = correction = torch.zeros(len(walks.noise), device=model.device)
            for k, v in enumerate(deviations):
                steered = k < steps - 1 and v > 0
                mean, rewards, gradient = look(model, walks.state, k, conditioning, reward, texts, steered)
                tempered = self.tempering(k, steps) * rewards / self.alpha
                walks.weigh(tempered - counted + correction)
                chosen = walks.resample(k, source.uniform(run * steps + k, 1), adaptive=True)
                mean, gradient, counted = (gathered(x, chosen) for x in (mean, gradient, tempered))
                push = v * self.tempering(k + 1, steps) * gradient / self.alpha
                fresh = walks.injected[:, k] + push
                correction = (push * (push / 2 - fresh)).flatten(1).sum(1)
                walks.injected[:, k] = fresh
                walks.state = mean + v * fresh
            images = model.decode(walks.state)
            rewards = reward(images, texts)
            walks.weigh(rewards / self.alpha - counted + correction)
            yield walks.best(rewards, images)


def look(
    model: Model,
    x: Tensor,
    k: int,
    conditioning: Conditioning,
    reward: Callable[[Tensor, Sequence[str]], Tensor],
    texts: Sequence[str],
    steered: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The mean of the step from point k, the reward (n,) of the clean image foreseen there, and its gradient on x, or 0."""
    with torch.set_grad_enabled(steered):
        leaf = x.detach().requires_grad_(steered)
        mean, clean = model.transition(leaf, k, conditioning, None)
        rewards = reward(model.decode(clean), texts)
        gradient = torch.autograd.grad(rewards.sum(), leaf)[0] if steered else torch.zeros_like(x)
    return mean.detach(), rewards.detach(), gradient
