"""Experiments: what is compared, where it is kept, and what came out."""

from noisekit.experiment.run import Run, load_run
from noisekit.experiment.runner import compare

__all__ = ["Run", "compare", "load_run"]
