"""What came out: a store's images and scores as tables, curves of quality against cost, and a choice for a budget.

Names are imported when they are first used: to look at what came out takes no network.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from noisekit.results.pick import pick
    from noisekit.results.run import Run, load_run

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "pick": ["pick"],
        "run": ["Run", "load_run"],
    },
)

__all__ = ["Run", "load_run", "pick"]
