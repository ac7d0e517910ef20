"""The stored image of a row, for a page or a figure: read inside the run's folder alone, and left out where it cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from noisekit.errors import BadValue
from noisekit.paths import path_within
from noisekit.pictures import read_picture


def read(row: Mapping[Any, Any] | None, folder: Path) -> Image.Image | None:
    """The image of a row; None where there is no row, no image, none that reads, or one outside the folder."""
    if row is None or not isinstance(row["image"], str):
        return None
    try:
        return read_picture(path_within(folder, row["image"]))
    except BadValue:  # what shows it is written without it
        return None


#: What scripts called it before.
_read = read
