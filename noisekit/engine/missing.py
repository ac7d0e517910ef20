"""What a store lacks of the jobs of a plan: `missing(jobs, store) → units`, by the states of their cells.

done       the image and all its scores are there
unscored   the image is there and lacks metrics
missing    there is no image
failed     making the image, or scoring it, went wrong when it was last tried
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from noisekit.engine.resolve import Resolved
from noisekit.engine.units import Cell, Generation, Job, Scoring, Unit, batches
from noisekit.engine.worker import prompt_of
from noisekit.errors import BadValue
from noisekit.metrics import Evaluator
from noisekit.plan.shard import Shard
from noisekit.prompts import Prompt, PromptSuite
from noisekit.store.columns import Form
from noisekit.store.store import Row, Store
from noisekit.types import Arm

#: Stored images that are read and scored at once.
EVALUATED = 64

#: An image that was tried, and the metric that it was to be scored by; None when it could not be made.
Attempt = tuple[str, str | None]


BUDGET = [name for name in Arm("").columns if name != "method"]
#: What is read of a row, for scoring its image and for estimates; see `store.columns`.
FORMS: Mapping[str, Form] = {
    **dict.fromkeys(("id", "image"), "key"),
    **dict.fromkeys(("setting", "model_id", "model", "method", "suite", "prompt"), "text"),
    **dict.fromkeys(("calls", "seconds", *BUDGET), "number"),
    "seed": "json",
}


class Contents:
    """What a store holds, or one that is not there yet, as far as states depend on it.

    table: one row an image, of which some may be twice. failures: how often an attempt went wrong so far.
    """

    def __init__(self, store: Store | None) -> None:
        self.store = store
        self.table = pd.DataFrame(columns=list(FORMS)) if store is None else store.columns("rows", FORMS)
        self.scores = frozenset[str](
            () if store is None else store.columns("scores", {"score_id": "key"})["score_id"]
        )
        lines = [] if store is None else store.lines("failures")
        self.failures = Counter[Attempt]((row["id"], row["metric"]) for row in lines)
        self._places = {key: place for place, key in enumerate(self.table["id"])}
        self._images = self.table["image"].tolist()

    def place(self, image: str) -> int | None:
        """Where in the table the image with this id is; None where it is not there, or its file is gone."""
        place = self._places.get(image)
        return place if place is not None and self.store and self.store.has(self._images[place]) else None

    def rows(self, places: Sequence[int]) -> list[Row]:
        """The rows at these places."""
        return self.table.iloc[list(places)].to_dict("records")  # type: ignore[return-value]


@dataclass(frozen=True)
class Cells:
    """The cells of a job on a suite, by state."""

    job: Job
    suite: str
    done: tuple[str, ...]
    unscored: tuple[tuple[Row, tuple[str, ...]], ...]
    missing: tuple[Cell, ...]
    failed: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.done) + len(self.unscored) + len(self.missing) + len(self.failed)

    def units(self, batch: int) -> Iterator[Unit]:
        """What is left to do, `batch` images at once: score what is there, then make what is not."""
        alike: dict[tuple[str, ...], list[Row]] = defaultdict(list)
        for row, metrics in self.unscored:
            alike[metrics].append(row)
        for metrics, rows in alike.items():
            for start in range(0, len(rows), batch):
                yield Scoring(tuple(rows[start : start + batch]), metrics)
        prompts = list({cell.prompt.id: cell.prompt for cell in self.missing}.values())
        seeds = list(dict.fromkeys(cell.seed for cell in self.missing))
        wanted = {(cell.prompt.id, cell.seed) for cell in self.missing}
        others = {(prompt.id, seed) for prompt in prompts for seed in seeds} - wanted
        for some_prompts, some_seeds in batches(prompts, seeds, others, batch):
            yield Generation(self.job, self.suite, tuple(some_prompts), tuple(some_seeds))


@dataclass(frozen=True)
class Missing:
    """The cells of all jobs on all suites by state, and what the store holds."""

    cells: tuple[Cells, ...]
    contents: Contents

    def __len__(self) -> int:
        """How many images there are in all, done or not."""
        return sum(map(len, self.cells))

    def count(self, state: Literal["done", "unscored", "missing", "failed"]) -> int:
        """How many images are in a state."""
        return sum(len(getattr(own, state)) for own in self.cells)

    def units(self, batch: int | None) -> Iterator[Unit]:
        """All that is left to do, job by job, `batch` images at once (None: what the model's card says)."""
        for own in self.cells:
            yield from own.units(batch or own.job.batch)

    def scorings(self) -> Iterator[Scoring]:
        """The scores that stored images lack, metric by metric."""
        lacking: dict[str, list[Row]] = {}
        for own in self.cells:
            for row, metrics in own.unscored:
                for metric in metrics:
                    lacking.setdefault(metric, []).append(row)
        for metric, rows in lacking.items():
            for start in range(0, len(rows), EVALUATED):
                yield Scoring(tuple(rows[start : start + EVALUATED]), (metric,))


def missing(
    jobs: Resolved, store: Store | None, shard: Shard | None = None, retry_failed: bool = False
) -> Missing:
    """What a store lacks of the jobs of a plan.

    Args:
        jobs: what the plan comes to.
        store: that is read; None where there is none yet.
        shard: only the images of this part.
        retry_failed: count what failed as missing.

    Raises:
        BadValue: where the store holds images of a job under another model's name.
    """
    contents, evaluator = Contents(store), jobs.resources.evaluator
    check_names(jobs.jobs, contents)
    cells = tuple(
        cells_of(
            job,
            suite,
            jobs.seeds,
            list(evaluator.metrics),
            lambda key, name, prompt: evaluator.score_id(key, name, prompt) in contents.scores,
            contents,
            shard=shard or Shard(),
            retry_failed=retry_failed,
        )
        for job in jobs.jobs
        for suite in jobs.suites
    )
    return Missing(cells, contents)


def cells_of(
    job: Job,
    suite: PromptSuite,
    seeds: Sequence[int],
    metrics: Sequence[str],
    scored: Callable[[str, str, Prompt], bool],
    contents: Contents,
    *,
    shard: Shard,
    retry_failed: bool,
) -> Cells:
    """The cells of a job on a suite that belong to a shard. With `retry_failed` none has failed: all are tried again.

    scored: whether the image with an id has been scored by a metric for a prompt.
    """
    failures: Mapping[Attempt, int] = {} if retry_failed else contents.failures
    done: list[str] = []
    failed: list[str] = []
    unscored: list[tuple[int, Prompt, tuple[str, ...]]] = []
    missing: list[Cell] = []
    for prompt in suite:
        for seed in seeds:
            key = job.image_id(prompt.text, seed)
            if key not in shard:
                continue
            place = contents.place(key)
            if place is None:
                if (key, None) in failures:
                    failed.append(key)
                else:
                    missing.append(Cell(key, prompt, seed))
                continue
            lacking = [name for name in metrics if not scored(key, name, prompt)]
            wanted = tuple(name for name in lacking if (key, name) not in failures)
            if wanted:
                unscored.append((place, prompt, wanted))
            else:
                (failed if lacking else done).append(key)
    rows = contents.rows([place for place, _, _ in unscored])
    scorable = tuple(
        (row | {"metadata": prompt.metadata}, wanted)
        for row, (_, prompt, wanted) in zip(rows, unscored, strict=True)
    )
    return Cells(job, suite.name, tuple(done), scorable, tuple(missing), tuple(failed))


def check_names(jobs: Sequence[Job], contents: Contents) -> None:
    """Raise where a store holds images of a job under another model's name: tables would show that name alone."""
    named = contents.table[["setting", "model"]].drop_duplicates()
    stored: dict[str, str] = dict(zip(named["setting"], named["model"], strict=True))
    for job in jobs:
        name = job.model
        if stored.get(job.setting, name) != name:
            raise BadValue(
                f"the store holds images of this very model as {stored[job.setting]!r}, and it is given as {name!r}; call "
                "it as before, or use another store"
            )


def remainder(unit: Unit, store: Store, evaluator: Evaluator) -> Iterator[Unit]:
    """Units that cover the images and scores of a unit that the store lacks; images that are there are scored only."""
    if isinstance(unit, Generation):
        wanted = {cell.id for cell in unit.cells}
        stored = (row for row in store.lines("rows") if row["id"] in wanted)
        rows = {row["id"]: row for row in stored if store.has(row["image"])}
        yield from unit.without(rows)
        metrics = tuple(evaluator.metrics)
    else:
        rows, metrics = {row["id"]: row for row in unit.rows}, unit.metrics
    scored = {row["score_id"] for row in store.lines("scores") if row["id"] in rows}
    lacking: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for key, row in rows.items():
        prompt = prompt_of(row)
        own = [name for name in metrics if evaluator.score_id(key, name, prompt) not in scored]
        lacking[tuple(own)].append(row)
    yield from (Scoring(tuple(some), names) for names, some in lacking.items())
