"""Experiments: what is compared, where it is kept, and what came out.

Names are imported when they are first used: to look at what came out takes no network.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from noisekit.experiment.plan import Plan, load_plan
    from noisekit.experiment.run import Run, load_run
    from noisekit.experiment.runner import compare, run_plan
    from noisekit.experiment.search import run_search

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "plan": ["Plan", "load_plan"],
        "run": ["Run", "load_run"],
        "runner": ["compare", "run_plan"],
        "search": ["run_search"],
    },
)

__all__ = ["Plan", "Run", "compare", "load_plan", "load_run", "run_plan", "run_search"]
