"""Seconds of one evaluation of each network, measured here, so that counted evaluations become seconds.

    seconds of an image = encode + Σ over networks k of s_k · n_k

n_k are the counts of a method's images (`Cost`), the same on every machine and in every batch; s_k are measured at batch 1
(latency) or at the model's own batch, of 32 at most (throughput). encode is one prompt through the text encoder. A backward
evaluation is what a gradient takes beyond the forward one. Of rewards each has its own s_k, and a method's reward calls are
shared equally by the rewards that it uses. The denoiser is timed inside the sampler, with the model's guidance, so its s_k
holds the scheduler's part. What this leaves out is each method's own arithmetic, which is small beside any network, and
that a search which puts several candidates of one image through together is faster than so many calls one by one: its
latency is an upper bound.

Each figure is the least of a few repetitions after one that warms up, since whatever else a machine does only adds to it.
All together take under a minute, unless a single evaluation takes seconds.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from noisekit.errors import BadValue
from noisekit.results.rows import CALLS
from noisekit.results.run import Run
from noisekit.store.manifest import machine

if TYPE_CHECKING:
    from rich.table import Table

Mode = Literal["latency", "throughput"]


@dataclass(frozen=True)
class Calibration:
    """seconds: of one evaluation, by network ("denoiser", "reward hps", …) and "encode", at this batch on this hardware."""

    model: str
    mode: Mode
    batch: int
    hardware: Mapping[str, Any]
    seconds: Mapping[str, float]

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        return cls(**{name: row[name] for name in ("model", "mode", "batch", "hardware", "seconds")})

    @property
    def is_here(self) -> bool:
        """Whether it was measured on a machine such as this one."""
        return machine().items() <= self.hardware.items()

    def image(self, counts: Mapping[str, float], rewards: frozenset[str]) -> float:
        """Seconds of an image with these `calls_<network>`, of a method that uses these rewards.

        Raises `BadValue` where a network was called that was not measured.
        """
        total = self.seconds["encode"]
        for count in CALLS:
            network, number = count.removeprefix("calls_"), counts[count]
            if number:
                total += number * self._each(network, rewards)
        return total

    def _each(self, network: str, rewards: frozenset[str]) -> float:
        names = [network]
        if network.startswith("reward"):
            names = [f"{network} {name}" for name in sorted(rewards) if f"{network} {name}" in self.seconds]
        known = [self.seconds[name] for name in names if name in self.seconds]
        if not known:
            raise BadValue(
                f"the calibration of model {self.model!r} says nothing of {network.replace('_', ' ')} evaluations, which a "
                "method of the run makes; calibrate again with `noisekit calibrate`"
            )
        return statistics.fmean(known)


def calibrations(run: Run, mode: Mode) -> dict[str, Calibration]:
    """By the name of the model: the newest calibration of this machine, or else the newest of another one."""
    chosen: dict[str, Calibration] = {}
    for row in run.calibrations():
        one = Calibration.read(row)
        before = chosen.get(one.model)
        if one.mode == mode and (before is None or one.is_here or not before.is_here):
            chosen[one.model] = one
    return chosen


def table(measured: Sequence[Calibration]) -> Table:
    """Milliseconds of one evaluation of each network, for the terminal."""
    from rich.table import Table

    heads = [f"{one.model}, {one.mode} (batch {one.batch})" for one in measured]
    result = Table("one evaluation of", *heads, box=None, pad_edge=False)
    for name in dict.fromkeys(name for one in measured for name in one.seconds):
        times = [f"{1000 * one.seconds[name]:.3g} ms" if name in one.seconds else "" for one in measured]
        result.add_row(name.replace("_backward", " backward", 1), *times)
    return result
