"""Loaded models, and how few of them are in memory."""

from __future__ import annotations

import gc

import torch

from noisekit.models import Model
from noisekit.plan.sources import ModelSource


class ModelCache:
    """Loaded models. Of those that come from files it holds one at a time, so that two never share the memory."""

    def __init__(self) -> None:
        self._held: tuple[ModelSource, Model] | None = None

    def clear(self) -> None:
        """Give up the model that is held."""
        if self._held is not None:  # to look through all that lives for nothing takes up to a second
            self._held = None
            free_memory()

    def get(self, source: ModelSource) -> Model:
        """The model of a source, loaded unless it is at hand; another one that was loaded before is given up."""
        if isinstance(source.given, Model):
            return source.given
        if self._held is None or self._held[0] != source:
            self.clear()
            self._held = (source, source.load())
        return self._held[1]


def free_memory() -> None:
    """Give memory that nothing refers to back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
