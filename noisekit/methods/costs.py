"""What a method costs on a model, before it runs.

    cost = Σ over candidates of their cost + that of a final image, unless the candidates bring theirs

A method says how many candidates it has and what one costs; what of the rest differs, it overrides.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import repeat
from typing import Self, final

from noisekit.flops import worth
from noisekit.models.base import Model
from noisekit.types import Cost


class Costed(ABC):
    """Every member but `cost` and `whole_work` sees resolved settings only."""

    @property
    @abstractmethod
    def horizon(self) -> int:
        """How many candidates a whole search yields."""

    @abstractmethod
    def step_cost(self, model: Model) -> Cost:
        """The cost of one candidate of one image, in network evaluations; of the dearest where they differ."""

    @abstractmethod
    def resolved(self, model: Model) -> Self:
        """With every setting that nobody gave."""

    def delivers_images(self, model: Model) -> bool:
        """Whether every candidate brings its image, G(noise), so that none has to be made at the end."""
        return False

    def schedule(self, model: Model) -> Iterator[Cost]:
        """The cost of each candidate in turn, where they differ."""
        return repeat(self.step_cost(model), self.horizon)

    def flops(self, network: str, model: Model) -> float:
        """Operations of one evaluation of a network that `step_cost` counts; NaN where nobody can tell."""
        return model.flops(network)

    def work(self, model: Model) -> Iterator[float]:
        """Operations of each candidate in turn: what `schedule` counts, at the price of each network."""
        return (worth(cost, lambda network: self.flops(network, model)) for cost in self.schedule(model))

    @final
    def cost(self, model: Model) -> Cost:
        """The expected cost of one image, the search and what it leaves to do, in network evaluations."""
        method = self.resolved(model)
        return sum(method.schedule(model), method._left(model))

    @final
    def whole_work(self, model: Model) -> float:
        """Operations of one image, the search and what it leaves to do; NaN where nobody can tell."""
        method = self.resolved(model)
        return sum(method.work(model), worth(method._left(model), model.flops))

    def _left(self, model: Model) -> Cost:
        """The final image, where it is still to be made."""
        return Cost() if self.delivers_images(model) else model.sample_cost()
