"""Methods around methods: what only they need.

A wrapper's wrapped methods stand before its settings in a string, `best_of(reno(steps=3), n=2)`, and are resolved, checked
and printed with it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch

from noisekit.errors import NotSupported
from noisekit.methods.base import NoiseMethod
from noisekit.methods.parameters import given_values, resolved_values
from noisekit.models.base import Model


@dataclass(frozen=True)
class Wrapper(NoiseMethod):
    """Base of the methods that run others."""

    @property
    @abstractmethod
    def wrapped(self) -> tuple[NoiseMethod, ...]:
        """The methods that this one runs, as its string names them."""

    @classmethod
    @abstractmethod
    def wrap(cls, methods: Sequence[NoiseMethod], settings: Mapping[str, Any]) -> Self:
        """The wrapper of `methods` with settings by name; raises `BadValue` where it takes another number of them."""

    def search_model(self, model: Model) -> Model:
        """The model that the wrapped methods run on, where that is another."""
        return model

    @property
    def preparation(self) -> float:
        return sum((method.preparation for method in self.wrapped), 0.0)

    def check(self, model: Model) -> None:
        super().check(model)
        for method in self.wrapped:
            if method.injects:
                raise NotSupported(
                    f"method {self.name!r} hands on initial noises alone, and {method.name!r} also chooses those that the "
                    f"sampler injects; run {method.name!r} by itself"
                )
            method.check(self.search_model(model))

    def dependencies(self, device: torch.device) -> dict[str, Any]:
        """What the wrapped methods depend on, each with its version."""
        own = super().dependencies(device)
        each = [{"version": method.version} | method.dependencies(device) for method in self.wrapped]
        return own | {"wrapped": each}

    def with_weights(self, weights: str) -> Self:
        own = super().with_weights(weights)
        return self.wrap([method.with_weights(weights) for method in self.wrapped], given_values(own))

    def resolved(self, model: Model) -> Self:
        """Itself and what it wraps."""
        inner = [method.resolved(self.search_model(model)) for method in self.wrapped]
        return self.wrap(inner, resolved_values(self, model.card))
