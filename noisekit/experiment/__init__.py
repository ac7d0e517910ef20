"""Experiments: what is compared, where it is kept, and what came out."""

from noisekit.experiment.plan import Plan, load_plan
from noisekit.experiment.run import Run, load_run
from noisekit.experiment.runner import compare, run_plan
from noisekit.experiment.search import run_search

__all__ = ["Plan", "Run", "compare", "load_plan", "load_run", "run_plan", "run_search"]
