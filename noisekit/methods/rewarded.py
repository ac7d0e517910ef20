"""Methods whose objective is a weighted sum of rewards: R(x, c) = Σ_k λ_k·R_k(x, c).

They share what names the rewards and their weights, what tells one set of weights from another, and how a noise becomes an
image with a score. Text features and conditioning are computed once a search.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from noisekit.methods.base import NoiseMethod
from noisekit.methods.parameters import paper_values
from noisekit.models.base import Model
from noisekit.noise import NoiseSource
from noisekit.rewards import load_reward, parse_weights, weighted_reward
from noisekit.types import Candidate, Cost

#: What the two fields of every such method mean.
REWARDS = "weighted sum such as 'clip_score:1 + aesthetic:0.3'"
WEIGHTS = "of the rewards: tiny, published, or the path of a file or folder"


class Rewarded(NoiseMethod, ABC):
    """A method that climbs, or chooses by, a weighted sum of rewards. Each declares the two fields, where they read best."""

    rewards: str
    weights: str

    objective = "reward"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rewards is not None:
            parse_weights(self.rewards)

    @property
    def _papers(self) -> str:
        return str(paper_values(type(self))["rewards"])

    @property
    def _summed(self) -> dict[str, float]:
        return parse_weights(self.rewards or self._papers)

    @property
    def optimised(self) -> frozenset[str]:
        return frozenset(self._summed)

    def dependencies(self, device: torch.device) -> dict[str, Any]:
        loaded = {name: load_reward(name, self.weights, device) for name in sorted(self._summed)}
        return {"rewards": {name: reward.identity for name, reward in loaded.items()}}

    def reward(self, device: torch.device) -> Callable[[Tensor, Sequence[str]], Tensor]:
        """R for images (B, 3, H, W) in [0, 1] and B prompts, giving (B,)."""
        return weighted_reward(self.rewards, weights=self.weights, device=device)

    def judged_cost(self, model: Model) -> Cost:
        """One noise sampled, decoded and scored."""
        return model.sample_cost() + Cost(reward=len(self._summed))

    def judge(
        self, model: Model, prompts: Sequence[str], source: NoiseSource
    ) -> Callable[[Sequence[Candidate]], list[Candidate]]:
        """A function that scores several candidates (B, C, h, w) in one batch, making the images that they lack."""
        reward, conditioning = self.reward(model.device), model.encode(prompts)

        def judged(candidates: Sequence[Candidate]) -> list[Candidate]:
            copies, noises = len(candidates), [candidate.noise for candidate in candidates]
            known = [candidate.images for candidate in candidates if candidate.images is not None]
            if len(known) < copies:
                generators = [generator for _ in noises for generator in source.sampler_generators()]
                latents = model.sample(torch.cat(noises), conditioning.repeat(copies), generators)
                images = model.decode(latents)
            else:
                images = torch.cat(known)
            scores = reward(images, list(prompts) * copies)
            parts = zip(noises, scores.split(len(prompts)), images.split(len(prompts)), strict=True)
            return [
                Candidate(noise, score, own, {"reward": score, "norm": noise.flatten(1).norm(dim=1)})
                for noise, score, own in parts
            ]

        return judged
