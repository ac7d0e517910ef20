"""What there is to work on: jobs, their cells, and units of cells that workers are given.

job    one method on one model under a budget, with everything resolved that decides its images
cell   one image of a job: a prompt and a seed
unit   cells that are generated at once, or stored images that are scored; each can be halved, down to one image
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self, TypeVar

from noisekit.hashing import digest
from noisekit.image_prompts import noise_key
from noisekit.methods import NoiseMethod
from noisekit.models import Model
from noisekit.plan.sources import ModelSource
from noisekit.prompts import Prompt
from noisekit.store.identity import generation_id, setting_fields
from noisekit.store.store import Row
from noisekit.types import Arm, Budget, Convention

Item = TypeVar("Item")
Batch = tuple[list[Prompt], list[int]]


@dataclass(frozen=True)
class Job:
    """A method, resolved for a model, and the budget of each image. It holds no network, so it travels to any worker.

    fields: what `setting` is the hash of. model: as tables have it, its settings included. model_name: without them. batch:
    images that the model's card puts through at once. calls: denoiser evaluations that one image is expected to take.
    """

    source: ModelSource
    method: NoiseMethod
    budget: Budget
    convention: Convention
    fields: Mapping[str, Any]
    setting: str
    model: str
    model_name: str
    batch: int
    calls: float

    @classmethod
    def of(
        cls, source: ModelSource, model: Model, method: NoiseMethod, budget: Budget, convention: Convention
    ) -> Job:
        """Resolve a method for the model of a source, and check that the two go together, weights included."""
        resolved = method.resolved(model)
        resolved.check(model)
        # Standard sampling spends the least that an image can cost: no budget changes it.
        own = budget if resolved.horizon else Budget()
        fields = setting_fields(model, resolved, own, convention)
        calls = resolved.cost(model).calls
        return cls(
            source=source,
            method=resolved,
            budget=own,
            convention=convention,
            fields=fields,
            setting=digest(fields),
            model=model.label,
            model_name=model.name,
            batch=model.card.batch,
            calls=at_most(calls, own),
        )

    @property
    def identity(self) -> Mapping[str, Any]:
        """The model's identity."""
        identity: Mapping[str, Any] = self.fields["model"]
        return identity

    @property
    def arm(self) -> Arm:
        """The method and its budget."""
        return Arm(str(self.method), self.budget)

    @property
    def columns(self) -> dict[str, Any]:
        """The model and the arm as the lines of a store have them."""
        return {"model": self.model, "model_name": self.model_name, **self.arm.columns}

    def image_id(self, prompt: str, seed: int) -> str:
        """The id of one image. The pixels of a control image count where the model follows them, of others everywhere."""
        counts = "control_scale" in self.identity or noise_key(prompt) != str(prompt)
        return generation_id(self.setting, prompt if counts else str(prompt), seed)


def at_most(calls: float, budget: Budget) -> float:
    """Denoiser evaluations of an image under a budget; each is an equivalent at least."""
    return min([calls, *(limit for limit in (budget.calls, budget.equivalents) if limit is not None)])


class Cell(NamedTuple):
    """One image of a job: its id, prompt and seed."""

    id: str
    prompt: Prompt
    seed: int


@dataclass(frozen=True)
class Generation:
    """Every seed of every prompt, in one batch of a job. `suite` names where the prompts are from."""

    job: Job
    suite: str
    prompts: tuple[Prompt, ...]
    seeds: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompts) * len(self.seeds)

    @property
    def cells(self) -> list[Cell]:
        """In the order in which a method works on them: prompts outermost."""
        return [
            Cell(self.job.image_id(prompt.text, seed), prompt, seed)
            for prompt in self.prompts
            for seed in self.seeds
        ]

    def halves(self) -> tuple[Self, Self]:
        """Two units that cover the same cells, by prompts where there are several."""
        if len(self.prompts) > 1:
            middle = (len(self.prompts) + 1) // 2
            return replace(self, prompts=self.prompts[:middle]), replace(self, prompts=self.prompts[middle:])
        middle = (len(self.seeds) + 1) // 2
        return replace(self, seeds=self.seeds[:middle]), replace(self, seeds=self.seeds[middle:])

    def without(self, ids: Collection[str]) -> Iterator[Self]:
        """Units that cover the cells whose ids are not among these: what is left when a worker was lost half-way."""
        done = {(cell.prompt.id, cell.seed) for cell in self.cells if cell.id in ids}
        for prompts, seeds in batches(self.prompts, self.seeds, done, len(self)):
            yield replace(self, prompts=tuple(prompts), seeds=tuple(seeds))


@dataclass(frozen=True)
class Scoring:
    """Stored images, by their rows, that lack the same metrics."""

    rows: tuple[Row, ...]
    metrics: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def halves(self) -> tuple[Self, Self]:
        middle = (len(self.rows) + 1) // 2
        return replace(self, rows=self.rows[:middle]), replace(self, rows=self.rows[middle:])


Unit = Generation | Scoring


def batches(
    prompts: Sequence[Prompt], seeds: Sequence[int], done: Collection[tuple[str, int]], size: int
) -> Iterator[Batch]:
    """Cover exactly the (prompt, seed) that are not `done`, as ids, with products of prompts and seeds up to `size`.

    A method takes every seed of every prompt that it is given, so prompts with the same missing seeds go together.
    """
    groups: dict[tuple[int, ...], list[Prompt]] = {}
    for prompt in prompts:
        missing = tuple(seed for seed in seeds if (prompt.id, seed) not in done)
        groups.setdefault(missing, []).append(prompt)
    for missing, alike in groups.items():
        for some_seeds in _chunks(missing, size):
            for some_prompts in _chunks(alike, max(1, size // len(some_seeds))):
                yield list(some_prompts), list(some_seeds)


def _chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
