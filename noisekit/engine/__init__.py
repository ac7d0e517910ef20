"""What is done: a plan resolved to jobs, what a store lacks of them, and the work on it, here or on a cluster.

Names are imported when they are first used: to look at what came out takes no network.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from noisekit.engine.runner import compare, run_plan
    from noisekit.engine.search import run_search

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "runner": ["compare", "run_plan"],
        "search": ["run_search"],
    },
)

__all__ = ["compare", "run_plan", "run_search"]
