"""The device: a model is loaded once and given back, one thing runs at a time, and what runs is watched from outside."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import pytest

from noisekit.app.device import Device, progress_of
from noisekit.errors import BadValue
from noisekit.plan.sources import ModelSource


class Source(ModelSource):
    """Counts how often it is loaded."""

    loaded: int = 0

    def load(self) -> Any:
        type(self).loaded += 1
        return object()


@pytest.fixture(autouse=True)
def _none_loaded() -> Iterator[None]:
    """Giving memory back looks through all that there is; what the libraries hold it need not look through here."""
    Source.loaded = 0
    gc.freeze()
    yield
    gc.unfreeze()


def test_a_model_is_loaded_once_and_another_takes_its_place() -> None:
    device = Device(idle=60)
    for _ in range(3):
        with device.model(Source("one")):
            pass
    assert Source.loaded == 1
    with device.model(Source("other")):
        pass
    with device.model(Source("one")):
        pass
    assert Source.loaded == 3


def test_a_model_that_nobody_uses_leaves_the_memory() -> None:
    device = Device(idle=0.05)
    with device.model(Source("one")):
        time.sleep(0.2)  # in use for longer than that
    assert device._cache._held is not None
    deadline = time.monotonic() + 10
    while device._cache._held is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert device._cache._held is None


def test_one_works_at_a_time() -> None:
    device, at_once, most, lock = Device(idle=60), 0, 0, threading.Lock()

    def work() -> None:
        nonlocal at_once, most
        with device.model(Source("one")):
            with lock:
                at_once += 1
                most = max(most, at_once)
            time.sleep(0.01)
            with lock:
                at_once -= 1

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1 and Source.loaded == 1


def test_what_runs_is_watched_from_outside_and_the_newest_is_shown() -> None:
    ahead = Event()

    def work(show: Callable[[int], None]) -> int:
        assert threading.current_thread() is not threading.main_thread()
        show(0)
        ahead.wait(10)
        for number in range(1, 100):
            show(number)
        return 100

    seen = []
    for view in progress_of(work):
        seen.append(view)
        ahead.set()
    assert seen[0] == 0 and seen[-1] == 100 and seen == sorted(set(seen))


def test_an_error_is_raised_where_somebody_watches() -> None:
    def work(show: Callable[[int], None]) -> int:
        show(1)
        raise BadValue("no")

    views = progress_of(work)
    with pytest.raises(BadValue, match="no"):
        list(views)
