"""How the bundled weights were made, and the weights themselves (`weights/`, with their card)."""

from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"
