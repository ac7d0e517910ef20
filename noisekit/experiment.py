"""Where plans, stores, runs and folders of pictures were found before each had a room of its own.

Scripts that import them from here go on; new ones take them from `noisekit`, or from the rooms.
"""

from __future__ import annotations

import sys

from noisekit.comparison import compare, run_plan, run_search
from noisekit.plan import Plan, load_plan
from noisekit.runs import Run, load_run
from noisekit.scoring import folder
from noisekit.store import png, store

for _module in (folder, png, store):
    sys.modules[f"{__name__}.{_module.__name__.rpartition('.')[2]}"] = _module

__all__ = ["Plan", "Run", "compare", "load_plan", "load_run", "run_plan", "run_search"]
