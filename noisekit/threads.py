"""How many threads a network deserves.

    threads = 1                        parameters < SMALL
              all that torch starts    otherwise

Threads that share an operator wait at its end for the last of them: microseconds on idle cores, on cores that others use the
scheduler's time slice, milliseconds. A network of `SMALL` parameters spends about as long on each of its operators: below it
two threads gain up to a third of the time on idle cores and take several times as long on busy ones, above it up to a half,
and take little longer. `benchmarks/threads.py` measures both.

Whoever has chosen a number, by OMP_NUM_THREADS, MKL_NUM_THREADS or `torch.set_num_threads`, keeps it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

#: Parameters below which a network's operators are too short to be shared.
SMALL = 30_000_000
#: By what a user tells the libraries below torch how many threads to start.
VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")

#: What torch had when noisekit was imported, and what it would start by itself: a thread a core, or one for two of them.
_FOUND = torch.get_num_threads()
_CORES = {os.cpu_count() or 1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1}
_CHOSEN = any(map(os.environ.get, VARIABLES)) or _FOUND not in {n // m for n in _CORES for m in (1, 2)}
#: What the contexts that are entered have set.
_entered: list[int] = []


@contextmanager
def fitting(parameters: int) -> Iterator[None]:
    """While it is entered, torch computes with as many threads as a network of so many parameters deserves.

    Of contexts in each other the innermost decides, and each leaves the number that it found.
    """
    if _CHOSEN or torch.get_num_threads() != _expected():
        yield
        return
    threads = 1 if parameters < SMALL else _FOUND
    _entered.append(threads)
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        _entered.remove(threads)
        torch.set_num_threads(_expected())


def _expected() -> int:
    """What torch has unless somebody else has set it."""
    return _entered[-1] if _entered else _FOUND
