"""A Ray cluster: the connection to it, or one that is started here, and what its machines have room for."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from noisekit.engine.stopping import SIGNALS
from noisekit.errors import NotSupported

#: Workers of a machine without accelerators, where it has as many cores.
PER_MACHINE = 4
#: Bytes of Ray's object store where Ray is started here: units and their outcomes are small.
OBJECTS = 100 * 2**20
#: Seconds for a cluster's first machine to answer.
PATIENCE = 10.0
#: Seconds without any worker after which a run is given up; machines may still be joining the cluster.
JOINING = 300.0

#: What Ray is asked of an actor: `num_cpus` or `num_gpus`, and where it should run.
Share = Mapping[str, Any]


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """Ray, connected to a cluster or started here; a connection that is there already is used, and left."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with _own_signals():
        import ray

        ours = not ray.is_initialized()
        if ours:
            if address:
                _check_answer(address)
            here = {"address": "local", "include_dashboard": False, "object_store_memory": OBJECTS}
            try:
                ray.init(
                    **({"address": address} if address else here),
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
            except (ConnectionError, RuntimeError, ValueError) as error:
                where = (
                    f"Ray cluster at {address!r} cannot be reached" if address else "Ray cannot be started"
                )
                raise NotSupported(f"{where}: {str(error).splitlines()[0]}") from None
    try:
        yield ray
    finally:
        if ours:
            with _own_signals():
                ray.shutdown()


def _check_answer(address: str) -> None:
    """Raise `NotSupported` where nobody listens at HOST:PORT; Ray itself would try for minutes."""
    found = re.fullmatch(r"(ray://)?(?P<host>[^/]+):(?P<port>\d+)", address)
    if found is None:  # such as auto
        return
    try:
        socket.create_connection((found["host"], int(found["port"])), PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise NotSupported(f"Ray cluster at {address!r} cannot be reached: {error}") from None


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep this process's answers to Ctrl-C and SIGTERM, which Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def shares_of(ray: Any) -> list[Share]:
    """A share for each worker that the machines of a cluster have room for; another machine may take over a share."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [node for node in ray.nodes() if node["Alive"]]
    accelerated = [node for node in nodes if node["Resources"].get("GPU", 0) >= 1]
    shares: list[Share] = []
    for node in accelerated or nodes:
        where = {"scheduling_strategy": NodeAffinitySchedulingStrategy(node["NodeID"], soft=True)}
        if accelerated:
            shares += int(node["Resources"]["GPU"]) * [where | {"num_gpus": 1}]
        else:
            cores = int(node["Resources"].get("CPU", 0))
            each = max(1, cores // PER_MACHINE)
            shares += cores // each * [where | {"num_cpus": each}]
    if not shares:
        raise NotSupported("the Ray cluster has no CPU core and no GPU; add a machine that has")
    return shares


class Machines:
    """The machines of a cluster as it was begun with, and which of them are gone.

    shares: those of the workers, by which it is known how many a machine had. nodes: as `ray.nodes` gives them.
    """

    def __init__(self, shares: Sequence[Share], nodes: Sequence[Mapping[str, Any]]) -> None:
        self._workers = Counter(share["scheduling_strategy"].node_id for share in shares)
        self._there = self._alive(nodes)

    def lost(self, nodes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
        """A sentence for every machine that has gone since this was last asked, with what was lost and what goes on."""
        there = self._alive(nodes)
        gone = {key: name for key, name in self._there.items() if key not in there}
        self._there = there
        for key, name in gone.items():
            workers = self._workers.pop(key, 0)
            left = sum(count for own, count in self._workers.items() if own in there)
            goes_on = (
                f"{left} of other machines go on, and do again what it had under way"
                if left
                else f"none is left; another machine has {JOINING:.0f} s to join the cluster"
            )
            yield f"machine {name} of the Ray cluster is lost, and with it {workers} workers; {goes_on}"

    @staticmethod
    def _alive(nodes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        return {
            node["NodeID"]: f"{node['NodeManagerHostname']} ({node['NodeID'][:8]})"
            for node in nodes
            if node["Alive"]
        }
