"""Standard sampling: the random noise as it comes. Runs beside every method on the same (prompt, seed)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from noisekit.methods.base import NoiseMethod
from noisekit.models.base import Model
from noisekit.noise import NoiseSource
from noisekit.types import Candidate, Cost


@dataclass(frozen=True)
class Standard(NoiseMethod):
    """No search: the image of the initial noise."""

    name = "standard"

    @property
    def horizon(self) -> int:
        return 0

    def step_cost(self, model: Model) -> Cost:
        return Cost()

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        return iter(())
