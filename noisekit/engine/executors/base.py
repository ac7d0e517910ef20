"""What an executor is: it takes units of work one by one, has workers do them, and says what came of each.

    for outcome in executor.run(units):        every unit that was taken gives one outcome, in any order
        ...

An executor knows nothing of plans. It pulls the next unit only when there is a worker for it, so that whoever gives the
units can end them, and all that was taken is still finished. Workers write images, rows and scores into the store; failures
are returned, and the caller writes them down.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from noisekit import registry
from noisekit.engine.units import Unit
from noisekit.engine.worker import Resources, Worker
from noisekit.errors import BadValue, unknown
from noisekit.store.store import Row

#: Executors by name, imported when they are asked for.
EXECUTORS: Mapping[str, str] = {
    "inprocess": "noisekit.engine.executors.base:InProcess",
    "ray": "noisekit.engine.executors.ray:RayExecutor",
}


@dataclass(frozen=True)
class Outcome:
    """What came of a unit: the ids of the images that are finished, and one row for each that failed, with the reason."""

    unit: Unit
    finished: tuple[str, ...]
    failures: tuple[Row, ...] = ()


class Executor(ABC):
    """Does units with workers that have the same resources. Use it as it is made: for one run."""

    @abstractmethod
    def __init__(self, resources: Resources) -> None:
        """`resources` can be pickled: another process opens the store and loads models and metrics for itself."""

    @abstractmethod
    def run(self, units: Iterable[Unit]) -> Iterator[Outcome]:
        """Do units, each at least once, and yield what came of each.

        Raises what stops all work, such as a disk that is full; what goes wrong with single images is an outcome.
        """


class InProcess(Executor):
    """Does every unit here and now."""

    def __init__(self, resources: Resources) -> None:
        self.resources = resources

    def run(self, units: Iterable[Unit]) -> Iterator[Outcome]:
        with Worker(self.resources) as worker:
            for unit in units:
                yield Outcome(unit, *worker.do(unit))


def check_executor(name: str) -> None:
    """Raise `BadValue` unless `load_executor` knows the name; nothing is imported yet."""
    chosen, _, address = name.partition(":")
    if chosen not in EXECUTORS:
        raise unknown("executor", chosen, EXECUTORS)
    if address and chosen != "ray":
        raise BadValue(
            f"executor {name!r} takes no address; only a Ray cluster has one, as in 'ray:10.0.0.1:6379'"
        )


def load_executor(name: str, resources: Resources) -> Executor:
    """The executor called `name`, "ray:ADDRESS" being Ray on the cluster there; `BadValue` on unknown names."""
    check_executor(name)
    chosen, _, address = name.partition(":")
    executor = registry.load("executor", chosen, EXECUTORS)
    made: Executor = executor(resources, address) if address else executor(resources)
    return made
