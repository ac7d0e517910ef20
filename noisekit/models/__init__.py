"""Text-to-image models behind one interface. Names are imported when they are first used: cards need no network."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from noisekit.models.base import Conditioning, Marker, Model
    from noisekit.models.loading import load_model

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "base": ["Conditioning", "Marker", "Model"],
        "loading": ["load_model"],
    },
)

__all__ = ["Conditioning", "Marker", "Model", "load_model"]
