"""Methods whose objective is a weighted sum of rewards: R(x, c) = Σ_k λ_k·R_k(x, c).

They share what names the rewards and their weights, what tells one set of weights from another, and how a noise becomes an
image with a score. Text features and conditioning are computed once a search.

Which weights a reward has is decided here and nowhere else: those that the method names; else those of the whole run, which
`--weights` and `weights=` fill in by `with_weights`; else `usual_weights`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any, Self

import torch
from torch import Tensor

from noisekit.methods.base import NoiseMethod
from noisekit.methods.parameters import settings
from noisekit.models.base import Model
from noisekit.models.cards import Card
from noisekit.noise import NoiseSource
from noisekit.rewards import Precision, Weights, load_reward, parse_coefficients, weighted_reward, with_tiny
from noisekit.types import Candidate, Cost

#: What the three fields of every such method mean.
REWARDS = "weighted sum such as 'clip_score:1 + aesthetic:0.3'"
WEIGHTS = "of the rewards: tiny, published, or a path (None: those of the run; tiny on bundled models)"
REWARD_DTYPE = "what the rewards' networks compute in: half the memory in float16"


def usual_weights(cards: Iterable[Card]) -> Weights:
    """The weights of rewards and metrics where nobody names any: tiny where all models are bundled, else published."""
    return "tiny" if all(card.bundled for card in cards) else "published"


class Rewarded(NoiseMethod, ABC):
    """A method that climbs, or chooses by, a weighted sum of rewards. Each declares the fields, where they read best."""

    @property
    @abstractmethod
    def rewards(self) -> str:
        """The weighted sum."""

    @property
    @abstractmethod
    def weights(self) -> str:
        """Which weights the rewards have."""

    @property
    def reward_dtype(self) -> Precision:
        """What the rewards' networks compute in."""
        return "float32"

    objective = "reward"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rewards is not None:
            parse_coefficients(self.rewards)

    @property
    def _unsaid(self) -> str:
        """The rewards where nobody gives any: the paper's, else the default."""
        facts = settings(type(self))["rewards"].metadata
        return str(facts.get("paper", facts["default"]))

    @property
    def climbed(self) -> dict[str, float]:
        """The rewards of its own sum, λ_k by name."""
        return parse_coefficients(self.rewards or self._unsaid)

    def usual(self, card: Card) -> Mapping[str, Any]:
        """The weights that go with the model, and with tiny ones the rewards that have them."""
        weights = self.weights or usual_weights([card])
        return {"weights": weights} | ({"rewards": with_tiny(self._unsaid)} if weights == "tiny" else {})

    def with_weights(self, weights: str) -> Self:
        return self if self.weights is not None else replace(self, weights=weights)

    @property
    def optimised(self) -> frozenset[str]:
        return frozenset(self.climbed)

    def dependencies(self, device: torch.device) -> dict[str, Any]:
        names, dtype = sorted(self.climbed), self.reward_dtype
        loaded = {name: load_reward(name, self.weights, device, dtype) for name in names}
        return {"rewards": {name: reward.identity for name, reward in loaded.items()}}

    def reward(self, device: torch.device) -> Callable[[Tensor, Sequence[str]], Tensor]:
        """R for images (B, 3, H, W) in [0, 1] and B prompts, giving (B,)."""
        return weighted_reward(self.rewards, weights=self.weights, device=device, dtype=self.reward_dtype)

    def flops(self, network: str, model: Model) -> float:
        """Of rewards the mean over those that are climbed, which are evaluated equally often."""
        if network.removesuffix("_backward") != "reward":
            return super().flops(network, model)
        names, dtype = self.climbed, self.reward_dtype
        return fmean(load_reward(name, self.weights, model.device, dtype).flops(network) for name in names)

    def looks(self, model: Model) -> int:
        """Evaluations of rewards that judge one image: each looks at every frame."""
        return len(self.climbed) * model.frames

    def judged_cost(self, model: Model) -> Cost:
        """One noise sampled, decoded and scored."""
        return model.sample_cost() + Cost(reward=self.looks(model))

    def climbed_cost(self, model: Model, steps: int | None = None) -> Cost:
        """One noise sampled in `steps` (None: the model's), decoded and scored, and the gradient through all of it."""
        image, rewards = model.sample_cost(steps), self.looks(model)
        return Cost(image.denoiser, image.denoiser, image.decoder, image.decoder, rewards, rewards)

    def judge(
        self, model: Model, prompts: Sequence[str], source: NoiseSource, steps: int | None = None
    ) -> Callable[[Sequence[Candidate]], list[Candidate]]:
        """A function that scores several candidates (B, C, h, w) in one batch, making the images that they lack.

        steps: of the sampler, where an image need not be the final one (None: the model's).
        """
        reward, conditioning = self.reward(model.device), model.encode(prompts)

        def judged(candidates: Sequence[Candidate]) -> list[Candidate]:
            copies, noises = len(candidates), [candidate.noise for candidate in candidates]
            known = [candidate.images for candidate in candidates if candidate.images is not None]
            if len(known) < copies:
                generators = [generator for _ in noises for generator in source.sampler_generators()]
                latents = model.sample(torch.cat(noises), conditioning.repeat(copies), generators, steps)
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
