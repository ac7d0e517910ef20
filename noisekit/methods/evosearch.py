"""EvoSearch: generations of walks that begin anew from the best walks' noises, and from their states on the way.

    ε_T ← √(1 − β²)·ε_T + β·ξ              of a child that begins at the noise
    x_t ← x_t + σ_t·ξ  ⇔  ε_t ← ε_t + ξ    of one that begins at a state: σ_t is the v, ε_t the noise of the step before it

A generation runs to the end with fresh noise and is scored by its real images; its states at the next generation's start
are kept. The m elites begin anew as they were; every other member is the mutated child of the best of a random 90 % of the
generation before. The best image of all is delivered. He et al. 2025, "Scaling Image and Video Generation via Test-Time
Evolutionary Search", arXiv 2505.17618: β = 0.3, 50 steps; public code β = 0.2, m = 5, starts 0 20 30 40 and populations
42 26 26 26 30, which is 100 images' worth. For other numbers of steps the starts are scaled. The paper's mutation of a state
doubles the variance of what was injected; mutation="marginal" turns ε_t as ε_T is turned. Public code restarts a state one
step too early; here x_t is what stands before step t.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal

import torch
from torch import Tensor

from noisekit.errors import BadValue
from noisekit.methods.parameters import parameter
from noisekit.methods.particles import Walking, best_walk, gathered
from noisekit.methods.rewarded import REWARD_DTYPE, REWARDS, WEIGHTS
from noisekit.models.base import Model
from noisekit.models.cards import Card
from noisekit.noise import NoiseSource
from noisekit.rewards import Precision
from noisekit.types import Candidate, Cost

#: The published starts, and the steps that they are of.
STARTS, OF_STEPS = (0, 20, 30, 40), 50
#: The share of a generation that a child's parent is the best of.
TOURNAMENT = 0.9


@dataclass(frozen=True)
class EvoSearch(Walking):
    """A candidate is the best walk of a generation, with all its noises; member 0 of the first is the standard one."""

    starts: str = parameter("the steps at which generations 1, 2, … begin", paper="0 20 30 40")
    populations: str = parameter("members of generations 0, 1, 2, …", paper="42 26 26 26 30")
    elites: int = parameter("members m that begin anew unchanged", paper=5, at_least=0)
    beta: float = parameter("β of the mutation", paper=0.3, at_least=0, at_most=1)
    mutation: Literal["paper", "marginal"] = parameter("what becomes of a state's noise", default="paper")
    rewards: str = parameter(REWARDS, paper="image_reward:1")
    weights: str = parameter(WEIGHTS)
    reward_dtype: Precision = parameter(REWARD_DTYPE, default="float32")

    name = "evosearch"
    cards = {"tiny": {"populations": "8 4 4 4 5", "elites": 2}}  # 284 calls an image

    def __post_init__(self) -> None:
        super().__post_init__()
        for setting in ("starts", "populations"):
            if getattr(self, setting) is not None:
                whole_numbers(setting, getattr(self, setting))

    @property
    def generations(self) -> list[tuple[int, int]]:
        """Start and size of every generation."""
        starts, sizes = whole_numbers("starts", self.starts), whole_numbers("populations", self.populations)
        return list(zip([0, *starts], sizes, strict=True))

    @property
    def horizon(self) -> int:
        return len(self.generations)

    def usual(self, card: Card) -> Mapping[str, Any]:
        """The published starts, scaled to the steps of the model."""
        scaled = " ".join(str(start * card.steps // OF_STEPS) for start in STARTS)
        return {**super().usual(card), "starts": scaled}

    def check(self, model: Model) -> None:
        super().check(model)
        starts, sizes = whole_numbers("starts", self.starts), whole_numbers("populations", self.populations)
        if len(sizes) != len(starts) + 1 or min(sizes) < 1:
            raise BadValue(
                f"method 'evosearch' has {len(starts)} starts and populations={self.populations!r}; give one population "
                "more than starts, each of 1 or more"
            )
        if starts != sorted(starts) or starts[-1] >= model.card.steps:
            raise BadValue(
                f"starts={self.starts!r} of method 'evosearch' must not fall, and lie below the {model.card.steps} steps of "
                f"model {model.name!r}"
            )

    def schedule(self, model: Model) -> Iterator[Cost]:
        for start, size in self.generations:
            walk = model.predict_cost(model.card.guidance) * (model.card.steps - start)
            yield (walk + Cost(decoder=1, reward=self.looks(model))) * size

    def step_cost(self, model: Model) -> Cost:
        return max(self.schedule(model), key=lambda cost: cost.calls)

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        reward, conditioning, deviations = (
            self.reward(model.device),
            model.encode(prompts),
            model.deviations(),
        )
        ends = [start for start, _ in self.generations[1:]] + [len(deviations)]
        before, members = None, 0
        for (start, size), end in zip(self.generations, ends, strict=True):
            own = [source.particle(members + j) for j in range(size)]
            fresh = torch.cat([walk.injected(len(deviations)) for walk in own])
            if before is None:
                noise, injected = torch.cat([walk.initial for walk in own]), fresh
                state = noise
            else:
                noise, injected, state = self._born(
                    before, source, start, range(members, members + size), deviations
                )
                injected = torch.cat([injected[:, :start], fresh[:, start:]], 1)
            kept, copies = state, conditioning.repeat(size)
            for k in range(start, len(deviations)):
                kept = state if k == end else kept
                state, _ = model.transition(state, k, copies, injected[:, k])
            images = model.decode(state)
            rewards = reward(images, list(prompts) * size).view(size, -1).T
            yield best_walk(noise, injected, rewards, images)
            before, members = (noise, injected, kept, rewards), members + size

    def _born(
        self,
        before: tuple[Tensor, Tensor, Tensor, Tensor],
        source: NoiseSource,
        start: int,
        members: range,
        deviations: list[float],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Noises, injected noises and states at `start` of the next generation: elites, then mutated children."""
        *walks, scores = before
        rewards = scores.nan_to_num(-torch.inf)
        spared = torch.sort(rewards, dim=1, descending=True, stable=True).indices[
            :, : min(self.elites, len(members))
        ]
        parents, born = [spared], members[spared.shape[1] :]
        for j in born:
            drawn = source.permutation(j, rewards.shape[1])[:, : ceil(TOURNAMENT * rewards.shape[1])]
            parents.append(drawn.gather(1, rewards.gather(1, drawn).argmax(1, keepdim=True)))
        noise, injected, state = (gathered(x, torch.cat(parents, 1)) for x in walks)
        unmoved = [torch.zeros_like(source.initial)] * spared.shape[1]
        xi = torch.cat([*unmoved, *(source.step(j) for j in born)])
        turned = torch.full_like(xi[:, :1, :1, :1], (1 - self.beta**2) ** 0.5)
        turned[: len(unmoved) * len(source)] = 1
        if start == 0:
            noise = turned * noise + self.beta * xi
            return noise, injected, noise
        last = injected[:, start - 1].clone()
        injected[:, start - 1] = last + xi if self.mutation == "paper" else turned * last + self.beta * xi
        return noise, injected, state + deviations[start - 1] * (injected[:, start - 1] - last)


def whole_numbers(setting: str, text: str) -> list[int]:
    """The whole numbers of a text that lists them with spaces between; raises `BadValue` on anything else."""
    if not text.strip() or not all(part.isdecimal() and len(part) < 7 for part in text.split()):
        raise BadValue(
            f"setting {setting}={text!r} of method 'evosearch' is not a list of whole numbers such as '0 20 30 40'"
        )
    return [int(part) for part in text.split()]
