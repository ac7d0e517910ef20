"""Methods of choosing the initial noise: one paper, one file."""

from noisekit.methods.base import NoiseMethod
from noisekit.methods.loading import load_method
from noisekit.methods.wrapper import Wrapper

__all__ = ["NoiseMethod", "Wrapper", "load_method"]
