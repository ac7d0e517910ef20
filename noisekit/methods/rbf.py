"""RBF: a stochastic walk that looks at several steps before it takes one, and saves what it does not need for later steps.

    x_0 = the best of M noises by r = R(decode(x̂_0))
    x_{k+1} ← mean_k + v_k·ξ_i,  i = 1, 2, …:  the first whose r beats the best r so far, else the best of those tried

Step k may try Q = (E − M)/(n − 1) proposals and what earlier steps left over ("rollover budget forcing"); the last step that
injects noise tries all that is left, so that every image takes E evaluations of network, decoder and reward, and one of the
latter two for the image itself. Kim et al. 2025, "Inference-Time Scaling for Flow Models via Stochastic Generation and
Rollover Budget Forcing", arXiv 2503.19385: E = 250 for an image (500 for two chains at once) and M = 25 on FLUX at 10 steps.
The stochastic flow is the model's own, eta in 0…1, on its own levels; the paper's diffusion coefficient and its
variance-preserving levels are not repeated here. Its budget is shared by a batch; here every sample has its own. Public code
delivers the x̂_0 of the last step; here it is the end of the walk, which is the same where the last step injects nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from noisekit.errors import BadValue, NotSupported
from noisekit.methods.parameters import parameter
from noisekit.methods.particles import Walking, walk_norms
from noisekit.methods.rewarded import REWARD_DTYPE, REWARDS, WEIGHTS
from noisekit.models.base import Model
from noisekit.noise import NoiseSource
from noisekit.rewards import Precision
from noisekit.types import Candidate, Cost


@dataclass(frozen=True)
class RBF(Walking):
    """One candidate: the end of the walk, with all its noises. What each step tries first is the standard image's noise."""

    evaluations: int = parameter("looks E at a step's outcome, for one image", paper=250, at_least=2)
    initial: int = parameter("of them noises M to begin with", paper=25, at_least=1)
    rewards: str = parameter(REWARDS, default="image_reward:1")
    weights: str = parameter(WEIGHTS)
    reward_dtype: Precision = parameter(REWARD_DTYPE, default="float32")

    name = "rbf"
    cards = {"tiny": {"evaluations": 136}}  # 272 calls an image

    @property
    def horizon(self) -> int:
        return 1

    def check(self, model: Model) -> None:
        super().check(model)
        if model.card.steps < 2:
            raise NotSupported(
                f"method 'rbf' chooses among noisy steps, and model {model.name!r} takes one without noise"
            )
        if self.evaluations < (least := self.initial + model.card.steps - 1):
            raise BadValue(
                f"method 'rbf' has evaluations={self.evaluations}, and needs {least} at least: initial={self.initial}, and "
                f"one for each of the {model.card.steps} steps of model {model.name!r} but the last"
            )

    def step_cost(self, model: Model) -> Cost:
        looks = model.predict_cost(model.card.guidance) * self.evaluations
        return looks + Cost(decoder=1, reward=self.looks(model)) * (self.evaluations + 1)

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        reward, conditioning, deviations = (
            self.reward(model.device),
            model.encode(prompts),
            model.deviations(),
        )
        steps, everybody = len(deviations), torch.arange(len(prompts), device=model.device)

        def look(x: Tensor, k: int, rows: Tensor) -> tuple[Tensor, Tensor]:
            """The mean of the step from point k for some samples, and the reward of the image foreseen there."""
            mean, clean = model.transition(x, k, conditioning.take(rows), None)
            return mean, reward(model.decode(clean), [prompts[i] for i in rows.tolist()])

        begun = Tried(source.initial)
        for j in range(self.initial):
            noise = source.draw(j)
            begun.add(everybody, noise, *look(noise, 0, everybody))
        mean, best, injected = begun.mean, begun.reward, source.injected(steps)
        share = (self.evaluations - self.initial) // (steps - 1)
        left = torch.full_like(everybody, self.evaluations - self.initial)
        allowed = torch.zeros_like(left)
        for k in range(steps - 1):
            last = k == steps - 2
            allowed = left.clone() if last else allowed + share
            tried, searching, i = Tried(mean), torch.ones_like(everybody, dtype=torch.bool), 0
            while len(rows := searching.nonzero()[:, 0]):
                fresh = (injected[:, k] if i == 0 else source.step(k * self.evaluations + i))[rows]
                after, rewards = look(mean[rows] + deviations[k] * fresh, k + 1, rows)
                tried.add(rows, fresh, after, rewards)
                i += 1
                found = rewards > best[rows]
                left[rows] -= 1
                allowed[rows] -= 1
                searching[rows] = (allowed[rows] > 0) & (last | ~found)
            mean, best = tried.mean, torch.fmax(best, tried.reward)
            injected = torch.cat([injected[:, :k], tried.noise[:, None], injected[:, k + 1 :]], 1)
        images = model.decode(mean + deviations[-1] * injected[:, -1])
        score = reward(images, prompts)
        info = {"reward": score, "foreseen": best, **walk_norms(begun.noise, injected)}
        yield Candidate(begun.noise, score, images, info, injected)


class Tried:
    """The best of several noises tried for each of B samples, with the mean of the step that follows, and its reward."""

    def __init__(self, like: Tensor) -> None:
        self.noise, self.mean = torch.zeros_like(like), torch.zeros_like(like)
        self.reward = torch.full_like(like.flatten(1)[:, 0], torch.nan)

    def add(self, rows: Tensor, noise: Tensor, mean: Tensor, reward: Tensor) -> None:
        """One noise more for the samples of these rows; anything is better than nothing."""
        known = self.reward[rows]
        wins = (reward > known) | (known.isnan())
        won = rows[wins]
        self.noise[won], self.mean[won], self.reward[won] = noise[wins], mean[wins], reward[wins]
