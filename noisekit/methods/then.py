"""One method after another: each starts from the best noise of the one before.

    ε_0 = the standard noise        ε_i = what stage i finds from ε_{i−1}

Objectives are not comparable, so a stage's noise is final once the stage is over, and among the last stage's candidates the
last stage decides: `then(npnet, reno(steps=10))` keeps the best reward that ReNO saw.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Self

from noisekit.errors import BadValue
from noisekit.methods.base import NoiseMethod
from noisekit.methods.best import better
from noisekit.methods.wrapper import Wrapper
from noisekit.models.base import Marker, Model
from noisekit.noise import NoiseSource
from noisekit.types import Candidate, Cost


@dataclass(frozen=True)
class Then(Wrapper):
    """Methods one after another, `then(selection, reno(steps=10))`; a budget is spent from the first stage on.

    The candidates of all but the last stage have no score; each is the best noise of its stage so far.
    """

    stages: tuple[NoiseMethod, ...] = ()

    name = "then"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.stages:
            raise BadValue("method 'then' has no stages; name them, as in then(selection, reno(steps=10))")

    @property
    def wrapped(self) -> tuple[NoiseMethod, ...]:
        return self.stages

    @classmethod
    def wrap(cls, methods: Sequence[NoiseMethod], settings: Mapping[str, Any]) -> Self:
        return cls(tuple(methods), **settings)

    @property
    def objective(self) -> str:
        return self.stages[-1].objective

    @property
    def horizon(self) -> int:
        return sum(stage.horizon for stage in self.stages)

    @property
    def needs(self) -> tuple[Marker, ...]:
        return tuple(dict.fromkeys(marker for stage in self.stages for marker in stage.needs))

    @property
    def optimised(self) -> frozenset[str]:
        return frozenset[str]().union(*(stage.optimised for stage in self.stages))

    def step_cost(self, model: Model) -> Cost:
        return max((stage.step_cost(model) for stage in self.stages), key=lambda cost: cost.calls)

    def schedule(self, model: Model) -> Iterator[Cost]:
        return chain.from_iterable(stage.schedule(model) for stage in self.stages)

    def work(self, model: Model) -> Iterator[float]:
        return chain.from_iterable(stage.work(model) for stage in self.stages)

    def delivers_images(self, model: Model) -> bool:
        searching = [stage for stage in self.stages if stage.horizon]
        return bool(searching) and searching[-1].delivers_images(model)

    def anytime(self, candidates: int) -> bool:
        """As the stage within which they end is; the stages before it are whole."""
        left = candidates
        for stage in self.stages:
            if left <= stage.horizon:
                return stage.anytime(left)
            left -= stage.horizon
        return True

    def planned(self, candidates: int) -> Then:
        """Plan the stage within which the budget ends; the stages after it are not reached."""
        stages, left = [], candidates
        for stage in self.stages:
            stages.append(stage if left <= 0 or stage.horizon <= left else stage.planned(left))
            left -= stage.horizon
        return replace(self, stages=tuple(stages))

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        *earlier, last = self.stages
        for i, stage in enumerate(earlier):
            best = Candidate(source.initial)
            for candidate in stage.search(model, prompts, source):
                best = better(best, candidate)
                yield replace(best, score=None)
            source = source.starting_at(best.noise, f"stage {i + 1}")
        yield from last.search(model, prompts, source)
