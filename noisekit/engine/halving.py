"""Work on as much at once as memory holds. What fails is halved until the culprits stand alone.

    work(whole)  →  result
                 →  out of memory:   both halves, and from now on never more than half at once
                 →  another error:   both halves, so that what is good in the batch is done

A part of one that still fails is a problem with a reason; it raises nothing, and the other parts go on.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

import torch

from noisekit.engine.model_cache import free_memory
from noisekit.errors import NoisekitError
from noisekit.registry import shortened


class Divisible(Protocol):
    def __len__(self) -> int: ...
    def halves(self) -> tuple[Self, Self]: ...


Part = TypeVar("Part", bound=Divisible)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Problem:
    """Why a part could not be done: one sentence, and where in the code it was said."""

    reason: str
    where: str
    memory: bool

    @classmethod
    def of(cls, error: Exception) -> Problem:
        memory = isinstance(error, torch.OutOfMemoryError) or (
            isinstance(error, RuntimeError) and "out of memory" in str(error)
        )
        said = " ".join(str(error).split("\n")[0].split())
        if memory:
            said = f"one image alone does not fit into the memory of the device ({said})"
        elif not isinstance(error, NoisekitError):
            said = f"{type(error).__name__}: {said}" if said else type(error).__name__
        return cls(shortened(said, 300), "".join(traceback.format_exception(error)), memory)


class Halving:
    """Does work in parts, and remembers for every kind of work how large a part memory holds."""

    def __init__(self) -> None:
        self.fits: dict[str, int] = {}

    def __call__(
        self, kind: str, whole: Part, work: Callable[[Part], Result]
    ) -> Iterator[tuple[Part, Result | Problem]]:
        """Each part with what came of it; the parts cover the whole, in order."""
        waiting = [whole]
        while waiting:
            part = waiting.pop()
            if len(part) > self.fits.get(kind, len(part)):
                waiting += reversed(part.halves())
                continue
            outcome: Result | Problem
            try:
                outcome = work(part)
            except Exception as error:
                outcome = Problem.of(error)
            if not isinstance(outcome, Problem):
                yield part, outcome
                continue
            if outcome.memory:  # only here is the error gone, and with it what its frames held
                free_memory()
                self.fits[kind] = max(1, len(part) // 2)
            if len(part) == 1:
                yield part, outcome
            else:
                waiting += reversed(part.halves())
