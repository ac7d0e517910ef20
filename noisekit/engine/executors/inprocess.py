"""The executor of this process: one worker, one unit after another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from noisekit.engine.executors.base import Executor, Outcome
from noisekit.engine.units import Unit
from noisekit.engine.worker import Resources, Worker


class InProcess(Executor):
    """Does every unit here and now."""

    def __init__(self, resources: Resources) -> None:
        self.resources = resources

    def run(self, units: Iterable[Unit]) -> Iterator[Outcome]:
        with Worker(self.resources) as worker:
            for unit in units:
                yield Outcome(unit, *worker.do(unit))
