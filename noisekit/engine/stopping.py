"""Stop between two units of work: the first Ctrl-C or SIGTERM finishes what is under way, a second one stops at once."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any, Self, TypeVar

Item = TypeVar("Item")

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """While it is entered, the first signal only ends what `until` yields; `asked` tells afterwards. So does whoever sets
    `ended`, without a signal.

    Signals reach a process's main thread only; in any other thread nothing is caught.
    """

    def __init__(self) -> None:
        self.asked = self.ended = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
        self.__exit__()
        print("noisekit: finishing the batch under way; once more to stop at once", file=sys.stderr)

    def until(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, as long as nobody wants to stop."""
        for item in items:
            if self.asked or self.ended:
                return
            yield item
