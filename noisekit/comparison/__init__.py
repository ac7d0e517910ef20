"""Comparisons: a plan, or the arguments of `compare`, becomes a run. Plan, engine, store and results meet here.

Names are imported when they are first used.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from noisekit.comparison.compare import compare, run_plan
    from noisekit.comparison.search import run_search

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "compare": ["compare", "run_plan"],
        "search": ["run_search"],
    },
)

__all__ = ["compare", "run_plan", "run_search"]
