"""Executors: where the work of a run is done."""

from noisekit.engine.executors.base import EXECUTORS, Executor, check_executor, load_executor

__all__ = ["EXECUTORS", "Executor", "check_executor", "load_executor"]
