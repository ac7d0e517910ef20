"""What there is to do before it is done: the states of a plan's cells, and how long it will take. The store stays as it is.

    seconds of an image = median of the same setting's images, else
                          calls expected × median seconds per call of the same model's images, else unknown

Seconds are per image in batches as they were run, so the estimate is for the machine that wrote the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from noisekit.engine.missing import Cells, missing
from noisekit.engine.model_cache import ModelCache
from noisekit.engine.resolve import Incompatible, resolve
from noisekit.engine.units import Job
from noisekit.errors import BadValue
from noisekit.hashing import digest
from noisekit.metrics import Metric
from noisekit.plan.plan import Plan
from noisekit.plan.shard import Shard
from noisekit.store.store import MANIFEST, Store


class Pace:
    """What images of each setting took, and calls of each model: from rows with setting, model_id, calls and seconds."""

    def __init__(self, rows: pd.DataFrame) -> None:
        timed = rows[rows["calls"] > 0]
        per_call = (timed["seconds"] / timed["calls"]).astype(float)
        self.images = rows["seconds"].astype(float).groupby(rows["setting"]).median().to_dict()
        self.calls = per_call.groupby(timed["model_id"]).median().to_dict()

    def seconds(self, job: Job) -> float | None:
        """Seconds of one image of a job; None where neither it nor its model has been timed."""
        if job.setting in self.images:
            return float(self.images[job.setting])
        per_call = self.calls.get(digest(job.identity))
        if per_call is None:
            return job.budget.seconds
        limits = [job.calls * per_call, job.budget.seconds]
        return min(seconds for seconds in limits if seconds is not None)


@dataclass(frozen=True)
class Line:
    """The cells of a model, a method and a suite, counted by state; the seconds (None: unknown) of those missing; and the
    denoiser evaluations that one image takes.
    """

    model: str
    method: str
    suite: str
    done: int = 0
    unscored: int = 0
    missing: int = 0
    failed: int = 0
    seconds: float | None = 0.0
    calls: float = 0.0

    @classmethod
    def of(cls, cells: Cells, pace: Pace) -> Line:
        each = pace.seconds(cells.job) if cells.missing else 0.0
        return cls(
            model=cells.job.model,
            method=str(cells.job.arm),
            suite=cells.suite,
            done=len(cells.done),
            unscored=len(cells.unscored),
            missing=len(cells.missing),
            failed=len(cells.failed),
            seconds=None if each is None else each * len(cells.missing),
            calls=cells.job.calls,
        )


class Absent(NamedTuple):
    """What is not on this machine, or not whole: what it is, its size where that is known, and what downloads it."""

    what: str
    gigabytes: float | None
    command: str


@dataclass(frozen=True)
class Overview:
    """One line a model, method and suite; the pairs that do not go together; what is absent, and what else is wrong."""

    lines: tuple[Line, ...]
    incompatible: tuple[Incompatible, ...]
    cells: Sequence[Cells] = field(repr=False)
    store: Store | None = field(repr=False)
    metrics: Mapping[str, Metric] = field(repr=False)
    absent: tuple[Absent, ...] = ()
    broken: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """What is left to do, as far as it is known; without loading, scoring, and what other processes do meanwhile."""
        return sum(line.seconds or 0.0 for line in self.lines)

    @property
    def calls(self) -> float:
        """Denoiser evaluations of all images that are missing."""
        return sum(line.calls * line.missing for line in self.lines)

    @property
    def unknown(self) -> int:
        """Missing images of which nothing is known."""
        return sum(line.missing for line in self.lines if line.seconds is None)


def overview(
    plan: Plan,
    *,
    store: str | Path | None = None,
    shard: Shard | None = None,
    retry_failed: bool = False,
) -> Overview:
    """The states of a plan's cells in a store, which may be one that is not there yet; nothing is written."""
    there = opened(plan, store)
    jobs = resolve(plan, plan.folder(store), strict=False, cache=ModelCache())
    work = missing(jobs, there, shard, retry_failed)
    pace = Pace(work.contents.table)
    lines = tuple(Line.of(own, pace) for own in work.cells)
    return Overview(lines, jobs.incompatible, work.cells, there, jobs.resources.evaluator.metrics)


def opened(plan: Plan, store: str | Path | None) -> Store | None:
    """The store of a plan, to be read only; None where there is none yet. `BadValue` where its noise is another."""
    folder = None if store is None and plan.store is None else plan.folder(store)
    if folder is None or not (folder / MANIFEST).exists():
        return None
    there = Store.read(folder)
    if there.manifest["noise"] != plan.noise:
        raise BadValue(
            f"store {str(folder)!r} holds images of noise {there.manifest['noise']!r}, not {plan.noise!r}"
        )
    return there
