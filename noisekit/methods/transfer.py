"""Search on one model, sample on another: the noise that a method finds travels.

    ε* = what the method finds on model A        image = G_B(ε*, c)

A cheap or one-step model A is searched, and a multi-step model B of the same latent shape makes the image. Eyring et al.
2024, "ReNO", arXiv 2406.04312, feed the noise found on a one-step model to SDXL and SD 2 at 50 steps. Calls of A's denoiser
count like B's, so a budget in calls compares unlike networks; equivalents, in evaluations of B's, and seconds do not have
that fault.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Self

import torch

from noisekit.errors import BadValue, NotSupported
from noisekit.methods.base import NoiseMethod
from noisekit.methods.best import better
from noisekit.methods.parameters import parameter
from noisekit.methods.standard import Standard
from noisekit.methods.wrapper import Wrapper
from noisekit.models import load_model
from noisekit.models.base import Model
from noisekit.models.outline import Outline, outline
from noisekit.noise import NoiseSource
from noisekit.types import Candidate, Cost


@dataclass(frozen=True)
class Transfer(Wrapper):
    """`transfer(reno(steps=20), model='sdxl-turbo')`: candidates are the best noises so far; A's scores are in the trace."""

    method: NoiseMethod = field(default_factory=Standard)
    model: str = parameter("the model that is searched: a card, a folder or a hub id", names="model")

    name = "transfer"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method == Standard() or self.model is None:
            raise BadValue(
                "method 'transfer' needs a method and the model to run it on, as in transfer(reno, model='sdxl-turbo')"
            )

    @property
    def wrapped(self) -> tuple[NoiseMethod, ...]:
        return (self.method,)

    @classmethod
    def wrap(cls, methods: Sequence[NoiseMethod], settings: Mapping[str, Any]) -> Self:
        if len(methods) > 1:
            raise BadValue(
                f"method 'transfer' carries the noise of one method, but {len(methods)} were given; join them, as in "
                f"transfer(then({', '.join(map(str, methods))}), model=...)"
            )
        return cls(methods[0] if methods else Standard(), **settings)

    def search_model(self, model: Model) -> Model:
        """Model A; raises `NotSupported` where its noise has another shape, or where it cannot do what the method needs."""
        if isinstance(model, Outline):
            return outline(self.model)
        searched = _loaded(self.model, model.device)
        if searched.noise_shape != model.noise_shape:
            raise NotSupported(
                f"noise of shape {searched.noise_shape} found on {self.model!r} does not fit model {model.name!r}, which "
                f"takes {model.noise_shape}; choose a model of the same latent space, or run one of the two at another size"
            )
        searched.require(self.method.name, self.method.needs)
        return searched

    @property
    def horizon(self) -> int:
        return self.method.horizon

    @property
    def optimised(self) -> frozenset[str]:
        return self.method.optimised

    def dependencies(self, device: torch.device) -> dict[str, Any]:
        return super().dependencies(device) | {"searched": _loaded(self.model, device).identity}

    def step_cost(self, model: Model) -> Cost:
        return self.method.step_cost(self.search_model(model))

    def schedule(self, model: Model) -> Iterator[Cost]:
        return self.method.schedule(self.search_model(model))

    def work(self, model: Model) -> Iterator[float]:
        return self.method.work(self.search_model(model))

    def anytime(self, candidates: int) -> bool:
        return self.method.anytime(candidates)

    def planned(self, candidates: int) -> Transfer:
        return replace(self, method=self.method.planned(candidates))

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        best = Candidate(source.initial)
        for candidate in self.method.search(self.search_model(model), prompts, source):
            best = better(best, candidate)
            score = {} if candidate.score is None else {"searched": candidate.score}
            yield Candidate(best.noise, info={**candidate.info, **score})


@lru_cache(maxsize=2)  # they are large
def _loaded(name: str, device: torch.device) -> Model:
    return load_model(name, device=device)
