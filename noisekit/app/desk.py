"""What the pages of the app share: the device, what is offered, what runs for whom, and files that browsers fetch."""

from __future__ import annotations

import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock

from safetensors.torch import save

from noisekit.app.device import Device
from noisekit.app.offer import Offer
from noisekit.app.pieces import problem
from noisekit.app.voting import Voting
from noisekit.errors import NoisekitError
from noisekit.handover import HandedOver
from noisekit.report import write_report
from noisekit.runs import load_run

#: Noises that are kept for browsers to fetch; the oldest goes first.
HANDED = 32
_LOG = logging.getLogger("noisekit.app")


class Noises:
    """Noise files by names of 128 random bits."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()

    def keep(self, handed: HandedOver) -> str:
        """The name under which the noise can be fetched."""
        name = secrets.token_hex(16)
        with self._lock:
            self._held[name] = save(dict(handed.tensors))
            while len(self._held) > HANDED:
                self._held.popitem(last=False)
        return name

    def get(self, name: str) -> bytes | None:
        return self._held.get(name)


class Reports:
    """The reports of runs, written into a folder of the app's own when they are asked for and the run has changed."""

    def __init__(self, offer: Offer, folder: Path) -> None:
        self.offer, self.folder = offer, folder
        self._written: dict[str, float] = {}
        self._lock = Lock()

    def page(self, run: str) -> Path:
        """The report of a run; raises `BadValue` where there is none."""
        store, page = self.offer.folder(run), self.folder / f"{run}.html"
        with self._lock:
            changed = max(path.stat().st_mtime for path in [store, *store.glob("*/*.jsonl")])
            if self._written.get(run) != changed:
                write_report(load_run(store), page, place=store)
                self._written[run] = changed
        return page


@dataclass
class Desk:
    """All that lasts from one request to the next."""

    offer: Offer
    device: Device
    voting: Voting
    reports: Reports
    noises: Noises = field(default_factory=Noises)
    _stops: dict[str, Event] = field(default_factory=dict)

    @contextmanager
    def running(self, session: str) -> Iterator[Event]:
        """While something runs for a browser, what ends it."""
        stop = self._stops[session] = Event()
        try:
            yield stop
        finally:
            stop.set()
            self._stops.pop(session, None)

    def stop(self, session: str) -> None:
        """End what runs for a browser, if anything does."""
        if (stop := self._stops.get(session)) is not None:
            stop.set()


def outcome(work: Callable[[], str]) -> str:
    """What some work gives, or the sentence of what is wrong, as HTML."""
    try:
        return work()
    except Exception as error:
        return explained(error)


def explained(error: Exception) -> str:
    """The sentence that the command line says; what is a fault of noisekit's goes to the terminal in full."""
    if isinstance(error, NoisekitError | OSError):
        return problem(error)
    _LOG.error("a request failed", exc_info=error)
    return problem(f"this is a fault of noisekit's own ({type(error).__name__}); the terminal tells more")
