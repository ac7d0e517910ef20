"""The executor of many processes, on this machine or a cluster: Ray actors that each hold a worker, and with it its models.

    workers = one per accelerator;  without any, up to four per machine, which share its cores

Without an address Ray is started on this machine, and shut down at the end; with one the workers run on the cluster there.
They write into the store themselves, each into files of its own, so all machines have to see the store's folder under the
same path. A worker that finds another folder there refuses, and nothing is lost between two of them.

A worker that is lost, alone or with its machine, is replaced, and another does what the store lacks of its unit. A unit
that is lost twice is halved, so that an image that kills whoever makes it stands alone in the end and counts as failed.
"""

from __future__ import annotations

import os
import platform
import time
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

from noisekit.engine.executors.base import Executor, Outcome
from noisekit.engine.executors.cluster import JOINING, Machines, Share, connected, shares_of
from noisekit.engine.halving import Problem
from noisekit.engine.missing import remainder
from noisekit.engine.units import Generation, Scoring, Unit
from noisekit.engine.worker import Resources, Worker, failed, unscored
from noisekit.errors import NoisekitError, NotSupported
from noisekit.models.memory import best_device
from noisekit.store.store import Row, Store

#: Lost workers after which one image is given up.
LIVES = 3
#: Seconds after which it is looked again whether machines are lost while no worker has anything to say.
PULSE = 5.0
#: Seconds without any worker after which it is said what is waited for.
SILENCE = 30.0
#: Workers in a row that may die before they are ready.
STILLBORN = 8

#: What a worker says of a unit: the ids of finished images, and the rows of those that failed.
_Done = tuple[tuple[str, ...], tuple[Row, ...]]


class RayExecutor(Executor):
    """Does units in Ray actors.

    address: of a cluster, as `ray.init` takes it ("auto", "10.0.0.1:6379"); None: the one that RAY_ADDRESS names, else Ray
    is started here. Raises `NotSupported` where Ray is not installed, and for models that are not given by name or folder.
    """

    def __init__(self, resources: Resources, address: str | None = None) -> None:
        if find_spec("ray") is None:
            raise NotSupported(
                "executor 'ray' needs Ray, which is not installed; run `pip install 'noisekit[ray]'`"
            )
        self.resources = replace(resources, store=resources.store.resolve())
        self.address = address or os.environ.get("RAY_ADDRESS") or None

    def run(self, units: Iterable[Unit]) -> Iterator[Outcome]:
        rest = (_sendable(unit) for unit in units)
        first = next(rest, None)
        if first is None:  # nothing to do, and nothing to start
            return
        with connected(self.address) as ray:
            crew = _Crew(ray, self.resources)
            try:
                yield from crew.do(chain([first], rest))
            finally:
                crew.dismiss()


@dataclass(frozen=True)
class _Task:
    """A unit, and how many workers were lost over it."""

    unit: Unit
    losses: int = 0


@dataclass(frozen=True)
class _Member:
    """A worker in an actor, and the share of a machine that it has."""

    actor: Any
    share: Share


class _Crew:
    """Workers that are started, given units one at a time, and replaced when they are lost."""

    def __init__(self, ray: Any, resources: Resources) -> None:
        self.ray, self.resources, self.store = ray, resources, Store.read(resources.store)
        self._actor = ray.remote(max_restarts=0, max_task_retries=0)(_Actor)
        self._idle: list[_Member] = []
        #: What is under way, by Ray's reference to its result; no task: the worker is starting.
        self._busy: dict[Any, tuple[_Member, _Task | None]] = {}
        self._stillborn = 0
        shares = shares_of(ray)
        self._machines, self._looked = Machines(shares, ray.nodes()), time.monotonic()
        for share in shares:
            self._start(share)

    def do(self, units: Iterator[Unit]) -> Iterator[Outcome]:
        lost: deque[_Task] = deque()
        fresh = map(_Task, units)
        more = True
        while True:
            while more and self._idle:
                task = lost.popleft() if lost else next(fresh, None)
                if task is None:
                    more = False
                else:
                    self._give(self._idle.pop(), task)
            if not (more or any(task for _, task in self._busy.values())):
                self._tell_of_lost()
                return
            for member, task, result in self._finished():
                if result is not None:
                    self._idle.append(member)
                    if task is not None:
                        yield Outcome(task.unit, *result)
                    continue
                self._start(member.share)
                if task is not None:
                    again, given_up = self._after_loss(task)
                    lost += again
                    more = more or bool(again)
                    yield from given_up

    def dismiss(self) -> None:
        """Stop all workers at once; what they wrote stays."""
        for member in (*self._idle, *(member for member, _ in self._busy.values())):
            self.ray.kill(member.actor)

    def _start(self, share: Share) -> None:
        actor = self._actor.options(**share).remote(self.resources, self.store.manifest, os.getcwd())
        self._busy[actor.start.remote()] = _Member(actor, share), None

    def _give(self, member: _Member, task: _Task) -> None:
        self._busy[member.actor.do.remote(task.unit)] = member, task

    def _finished(self) -> Iterator[tuple[_Member, _Task | None, _Done | None]]:
        """Wait for a worker; it comes with its task, and with what came of it, or None when it was lost."""
        errors = self.ray.exceptions
        for reference in self._ready():
            member, task = self._busy.pop(reference)
            try:
                result: _Done | None = self.ray.get(reference)
                self._stillborn = 0
            except errors.RayTaskError as error:
                raise error.cause from None
            except errors.RayError as error:
                with suppress(errors.RayError):
                    self.ray.kill(member.actor)  # it may be out of reach only
                self._looked = -PULSE  # its machine may be gone as well
                self._stillborn += task is None
                if self._stillborn > STILLBORN:
                    raise NotSupported(f"Ray workers die before they are ready: {error}") from None
                result = None
            yield member, task, result

    def _ready(self) -> list[Any]:
        """Wait until a worker has finished something; say meanwhile what has become of the cluster."""
        start, said = time.monotonic(), False
        while True:
            ready, _ = self.ray.wait(list(self._busy), timeout=PULSE)
            now = time.monotonic()
            if now - self._looked >= PULSE:
                self._looked = now
                self._tell_of_lost()
            if ready:
                return list(ready)
            if any(task for _, task in self._busy.values()):
                continue
            if now - start > JOINING:
                raise NotSupported(
                    f"no Ray worker could start within {JOINING:.0f} s; see with `ray status` whether the cluster has room "
                    "for one"
                )
            if now - start > SILENCE and not said:
                said = True
                warnings.warn(
                    f"no Ray worker has started yet; the cluster has {JOINING:.0f} s to make room for one",
                    stacklevel=5,
                )

    def _tell_of_lost(self) -> None:
        for sentence in self._machines.lost(self.ray.nodes()):
            warnings.warn(sentence, stacklevel=6)

    def _after_loss(self, task: _Task) -> tuple[list[_Task], list[Outcome]]:
        """What is to be done again after a worker was lost, and what is not."""
        warnings.warn(f"a worker was lost over {len(task.unit)} images; another one does them", stacklevel=3)
        losses, again, settled = task.losses + 1, [], []
        for unit in remainder(task.unit, self.store, self.resources.evaluator):
            if isinstance(unit, Scoring) and not unit.metrics:
                settled.append(Outcome(unit, tuple(row["id"] for row in unit.rows)))
            elif losses >= LIVES and len(unit) == 1:
                settled.append(Outcome(unit, (), tuple(_given_up(unit))))
            elif losses > 1 and len(unit) > 1:
                again += [_Task(half, 1) for half in unit.halves()]
            else:
                again.append(_Task(unit, losses))
        return again, settled


class _Actor:
    """A worker in a process of its own. Starting is a call, so that its errors are told as they are."""

    def __init__(self, resources: Resources, manifest: Mapping[str, Any], folder: str) -> None:
        self.resources, self.manifest, self.folder = resources, manifest, folder

    def start(self) -> _Done:
        with suppress(OSError):
            os.chdir(self.folder)  # models may be folders, relative to it
        check_shared(self.resources, self.manifest)
        self.worker = Worker(replace(self.resources, device=best_device()))
        return (), ()

    def do(self, unit: Unit) -> _Done:
        return self.worker.do(unit)


def check_shared(resources: Resources, manifest: Mapping[str, Any]) -> None:
    """Raise unless the folder of the store is the one that the driver sees."""
    try:
        same = Store.read(resources.store).manifest == manifest
    except NoisekitError:
        same = False
    if not same:
        raise NotSupported(
            f"machine {platform.node()!r} of the Ray cluster does not see the store {str(resources.store)!r}; put the store "
            "on a file system that all machines share, or give each machine a --shard of its own"
        )


def _sendable(unit: Unit) -> Unit:
    """The unit; raises `NotSupported` when its model would have to travel with every one of them."""
    if isinstance(unit, Generation) and not isinstance(unit.job.source.given, str | Path):
        raise NotSupported(
            f"model {unit.job.model!r} was given as an object, and the workers of executor 'ray' load models "
            "themselves; give its name or folder, or use executor 'inprocess'"
        )
    return unit


def _given_up(unit: Unit) -> Iterator[Row]:
    """The failures of the one image of a unit that every worker was lost over."""
    problem = Problem(f"its worker was lost {LIVES} times", "", False)
    if isinstance(unit, Generation):
        yield failed(unit, problem)
    else:
        yield from (unscored(replace(unit, metrics=(metric,)), problem) for metric in unit.metrics)
