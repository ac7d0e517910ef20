"""Units of work: images to generate and score, or stored images to score. Each can be halved, down to one image."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from noisekit.engine.cells import batches
from noisekit.engine.job import Job
from noisekit.prompts import Prompt
from noisekit.store.store import Row


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
