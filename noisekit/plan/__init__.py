"""What was asked: plans, from YAML, the command line or Python, checked before anything is loaded.

Names are imported when they are first used: to look at what came out takes no network.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from noisekit.plan.plan import Plan, load_plan

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "plan": ["Plan", "load_plan"],
    },
)

__all__ = ["Plan", "load_plan"]
