"""A method is a generator of ever better noises.

It has three members: `search` yields candidates, `horizon` says how many, `step_cost` what one costs (see `costs`).
Everything else has a default. The final `__call__` resolves the settings, and hands the search to `loop`, which owns the
clock and the budget.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, ClassVar, Self, final

import torch

from noisekit import registry
from noisekit.methods import loop
from noisekit.methods.costs import Costed
from noisekit.methods.inputs import checked_prompts, checked_seeds
from noisekit.methods.loop import Observer
from noisekit.methods.parameters import check_values, printed_values, resolved_values
from noisekit.models.base import Marker, Model
from noisekit.models.cards import Card
from noisekit.noise import Convention, NoiseSource
from noisekit.types import Budget, Candidate, NoiseResult


@dataclass(frozen=True)
class NoiseMethod(Costed):
    """Base of every method; subclasses are frozen dataclasses whose fields are made with `parameter`.

    A setting that nobody gave is None until `resolved` takes it from the model's card, the class's `cards`, the paper, or
    its default. `search`, `horizon`, `step_cost` and all that takes a model see resolved settings only.
    """

    #: The method's name in the registry, and of its entry point.
    name: ClassVar[str]
    #: Raised whenever the same settings would give other noises: part of every result's identity.
    version: ClassVar[int] = 1
    #: Settings by model, for models whose own card says nothing of this method: {"tiny": {"steps": 20}}.
    cards: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __post_init__(self) -> None:
        check_values(self)

    # What a method must say.

    @abstractmethod
    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        """Propose noises for B prompts, starting from `source.initial`. Runs under `torch.no_grad()`.

        Args:
            model: what the noises are for.
            prompts: of the B samples, one each.
            source: their initial noise, and every further random number that the search needs.

        Yields:
            Candidates for the whole batch, as many as `horizon` says.
        """

    # What it may say, beside the costs.

    @property
    def objective(self) -> str:
        """What `Candidate.score` means; scores are compared within one objective only."""
        return "none"

    @property
    def needs(self) -> tuple[Marker, ...]:
        """What the model must be able to do."""
        return ()

    @property
    def optimised(self) -> frozenset[str]:
        """Metrics that the search itself maximised, directly or as a filter: marked in every table."""
        return frozenset()

    @property
    def preparation(self) -> float:
        """Denoiser evaluations spent once, before the first image, on what the method had to measure; 0 for most."""
        return 0.0

    def check(self, model: Model) -> None:
        """Raise `NotSupported` where the method does not go with the model."""
        model.require(self.name, self.needs)

    def dependencies(self, _device: torch.device) -> dict[str, Any]:
        """Identities of what decides the noise beside the settings, such as weights of rewards, for the store's keys."""
        return {}

    @property
    def injects(self) -> bool:
        """Whether its candidates bring the noises that a stochastic sampler injects, as well as the initial one."""
        return False

    def planned(self, candidates: int) -> Self:
        """The method as it should run when the budget allows only so many candidates; annealed methods override it."""
        return self

    def anytime(self, candidates: int) -> bool:
        """Whether a whole search begins with the candidates of one planned for so many; not where it is annealed."""
        return True

    @property
    def wrapped(self) -> tuple[NoiseMethod, ...]:
        """The methods that this one runs; only a `Wrapper` has any."""
        return ()

    def usual(self, card: Card) -> Mapping[str, Any]:
        """Settings that follow from the model's card where neither a user nor a card names them, before the paper's."""
        return {}

    def with_weights(self, weights: str) -> Self:
        """With these weights of rewards wherever it, or a method that it runs, climbs some and names none."""
        return self

    # What all of them do.

    @final
    @property
    def parts(self) -> Iterator[NoiseMethod]:
        """The method and all that it runs, outermost first."""
        yield self
        for method in self.wrapped:
            yield from method.parts

    def resolved(self, model: Model) -> Self:
        """With every setting that nobody gave taken from the model's card, the class's, the paper, or its default."""
        return replace(self, **resolved_values(self, model.card))

    @final
    def __str__(self) -> str:
        return registry.render(self.name, printed_values(self), [str(method) for method in self.wrapped])

    @final
    def __call__(
        self,
        model: Model,
        prompts: str | Sequence[str],
        *,
        seeds: Sequence[int] = (0,),
        budget: Budget | None = None,
        convention: Convention = "per_prompt",
        progress: bool = False,
        observe: Observer | None = None,
    ) -> NoiseResult:
        """Search noises for every (prompt, seed), prompts outermost, and make their images.

        Args:
            model: as `load_model` gives it.
            prompts: one or several.
            seeds: of every prompt; each gives an image of its own.
            budget: the most that one image may cost (None: no limit).
            convention: whether a seed means another noise for every prompt, one "shared" by all, or the papers'
                "published" one.
            progress: whether to show a bar, one step a candidate.
            observe: called after every candidate with the `Moment`: the best so far, its images, what it cost. The search
                ends, and keeps its best, where it returns what is true.

        Returns:
            The best noise of every sample, its image and score, the trace of the search, and what it cost.

        Raises:
            NotSupported: when the model lacks what the method needs.
            BadValue: on bad prompts or seeds.
        """
        pairs = list(product(checked_prompts(prompts), checked_seeds(seeds)))
        method = self.resolved(model)
        method.check(model)
        texts, numbers = [text for text, _ in pairs], [seed for _, seed in pairs]
        source = NoiseSource(model.noise_shape, texts, numbers, convention, model.device)
        return loop.run(method, model, source, budget or Budget(), progress=progress, observe=observe)
