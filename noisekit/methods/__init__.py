"""Methods of choosing the initial noise: one paper, one file."""

from noisekit.methods.base import NoiseMethod, load_method

__all__ = ["NoiseMethod", "load_method"]
