"""Methods of choosing the initial noise: one paper, one file. Names are imported when they are first used."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from noisekit.methods.base import NoiseMethod
    from noisekit.methods.loading import load_method
    from noisekit.methods.wrapper import Wrapper

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "base": ["NoiseMethod"],
        "loading": ["load_method"],
        "wrapper": ["Wrapper"],
    },
)

__all__ = ["NoiseMethod", "Wrapper", "load_method"]
