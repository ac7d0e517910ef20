"""Text-to-image models behind one interface."""

from noisekit.models.base import Conditioning, Marker, Model
from noisekit.models.loading import load_model

__all__ = ["Conditioning", "Marker", "Model", "load_model"]
