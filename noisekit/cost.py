"""The clock and the counters: what a method spent, per image.

Networks report each evaluation with `counted`; backward evaluations report themselves when autograd reaches the output.
Counts go to every `Meter` that is open in this context, so models and rewards hold no state of their own. Clocks are
device-synchronised: the host waits for the device before reading the time. Who reports an evaluation may say whose network
it was, and is then asked what one of its evaluations computes: see `noisekit.flops`.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Protocol, Self

import torch
from torch import Tensor

from noisekit.types import Cost

_open: ContextVar[tuple[Meter, ...]] = ContextVar("open_meters", default=())


class Works(Protocol):
    """Whose networks are evaluated; see `noisekit.flops.Worker`."""

    def flops(self, network: str = ...) -> float: ...


class Meter:
    """Counts and times what happens inside its `with` block.

    `paused()` stops clock and counters for what is not the method's own work (scoring at checkpoints). `cost` may be
    read at any time.

    Args:
        samples: images of the batch, which share what is counted.
        device: whose clock is read when its work is done.
    """

    def __init__(self, samples: int, device: torch.device | str = "cpu") -> None:
        self.samples, self.device = samples, torch.device(device)
        self.counts: Counter[str] = Counter()
        self._evaluations: Counter[tuple[Works | None, str]] = Counter()
        self._seconds = 0.0
        self._started: float | None = None

    def __enter__(self) -> Self:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        self._resume()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop()

    def _resume(self) -> None:
        self._token = _open.set((*_open.get(), self))
        self._started = self._now()

    def _stop(self) -> None:
        self._seconds = self.seconds
        self._started = None
        _open.reset(self._token)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Neither count nor time what happens inside."""
        self._stop()
        try:
            yield
        finally:
            self._resume()

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()
        return time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds so far for the whole batch."""
        return self._seconds + (self._now() - self._started if self._started is not None else 0.0)

    @property
    def cost(self) -> Cost:
        """The cost so far, per image."""
        counts = {name: number / self.samples for name, number in self.counts.items()}
        peak = torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else None
        return Cost(**counts, seconds=self.seconds / self.samples, peak_memory=peak)

    def priced(self, unit: float) -> Cost:
        """The cost with its floating-point operations, and as so many times those of one denoiser evaluation.

        Networks of which they are not known yet are evaluated once more, so nothing may be timed meanwhile.

        Args:
            unit: operations of one denoiser evaluation; NaN where nobody knows.
        """
        known = {
            (owner, network): math.nan if owner is None else owner.flops(network)
            for owner, network in self._evaluations
        }
        flops = sum(number * known[key] for key, number in self._evaluations.items()) / self.samples
        if not math.isfinite(flops):
            return self.cost
        return replace(self.cost, flops=flops, equivalents=flops / unit if unit > 0 else None)

    def add(self, owner: Works | None, network: str, number: int) -> None:
        """Count evaluations of a network."""
        self.counts[network] += number
        self._evaluations[owner, network] += number


@contextmanager
def uncounted() -> Iterator[None]:
    """Report what happens inside to no meter; clocks go on."""
    token = _open.set(())
    try:
        yield
    finally:
        _open.reset(token)


def counted(network: str, output: Tensor, owner: Works | None = None) -> Tensor:
    """Report one forward evaluation of a network per sample of its output, and the backward one if it comes.

    Args:
        network: a field of `Cost`: "denoiser", "decoder", "reward" or "predictor".
        output: what the network gave, (n, ...).
        owner: who can say what one evaluation computes (None: nobody, and the image's operations are unknown).

    Returns:
        The output, as it came.
    """
    meters, n = _open.get(), len(output)
    for meter in meters:
        meter.add(owner, network, n)
    if meters and output.requires_grad:

        def backward(_gradient: Tensor) -> None:
            for meter in meters:
                meter.add(owner, f"{network}_backward", n)

        output.register_hook(backward)
    return output
