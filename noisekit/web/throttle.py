"""How often one address may ask: so many requests at once, and then so many a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

#: Addresses that are remembered; the one that asked longest ago is forgotten, by when it may ask freely again.
MOST = 4096


@dataclass
class Throttle:
    """burst: requests that may come at once. rate: a second, after that; a voter's pair takes three."""

    burst: float = 120.0
    rate: float = 30.0
    clock: Callable[[], float] = time.monotonic
    _left: dict[str, tuple[float, float]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def allows(self, address: str) -> bool:
        """Whether this request may be answered; one that may not costs nothing."""
        now = self.clock()
        with self._lock:
            left, last = self._left.pop(address, (self.burst, now))
            left = min(self.burst, left + (now - last) * self.rate)
            allowed = left >= 1
            self._left[address] = (left - allowed, now)
            if len(self._left) > MOST:
                del self._left[next(iter(self._left))]
            return allowed
