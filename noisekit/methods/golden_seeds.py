"""Where golden seeds were found before they had a room of their own, `noisekit.golden_seeds`; for scripts that look here."""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    for module in map(import_module, ("noisekit.golden_seeds.method", "noisekit.golden_seeds.ranking")):
        if not name.startswith("_") and hasattr(module, name):
            return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
