"""The device: one model on it, one thing done at a time, and its memory given back when nobody wants anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Lock, Thread, Timer
from typing import TypeVar

from noisekit.engine.model_cache import ModelCache
from noisekit.models import Model
from noisekit.plan.sources import ModelSource
from noisekit.rewards.loading import release

#: Seconds after which a model that nobody used is given up.
IDLE = 600.0

View = TypeVar("View")


class Device:
    """Holds the model that was asked for last. Whoever asks meanwhile waits."""

    def __init__(self, idle: float = IDLE) -> None:
        self.idle = idle
        self._cache, self._lock = ModelCache(), Lock()
        self._timer: Timer | None = None

    @contextmanager
    def model(self, source: ModelSource) -> Iterator[Model]:
        """The model of a source, for this block alone."""
        with self._lock:
            self._wait()
            try:
                yield self._cache.get(source)
            finally:
                self._timer = Timer(self.idle, self.clear)
                self._timer.daemon = True
                self._timer.start()

    def clear(self) -> None:
        """Give up the model, and the rewards, once nobody works with them."""
        with self._lock:
            self._wait()
            self._cache.clear()
            release()

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def progress_of(work: Callable[[Callable[[View], None]], View]) -> Iterator[View]:
    """What `work` shows while it runs in a thread of its own, and then what it returns; its error is raised here.

    Networks are so never run by the threads that answer browsers, which are others from one step of an iterator to the next.
    """
    views: SimpleQueue[tuple[View | BaseException, bool]] = SimpleQueue()

    def run() -> None:
        try:
            views.put((work(lambda view: views.put((view, False))), True))
        except BaseException as error:  # raised where somebody hears it
            views.put((error, True))

    Thread(target=run, daemon=True).start()
    over = False
    while not over:
        view, over = views.get()
        while not over and not views.empty():  # only the newest is worth showing
            view, over = views.get()
        if isinstance(view, BaseException):
            raise view
        yield view
