"""Arrays that are written whole, and weight folders without a trace of the machine that wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from noisekit.files import whole


def save_arrays(path: Path, **arrays: Any) -> None:
    """Writes an .npz file, or leaves what was there."""
    with whole(path) as part, part.open("wb") as stream:
        np.savez(stream, **arrays)


def save_array(path: Path, array: np.ndarray) -> None:
    """Writes an .npy file, or leaves what was there."""
    with whole(path) as part, part.open("wb") as stream:
        np.save(stream, array)


def forget_origin(folder: Path) -> None:
    """Drops `_name_or_path`, where a network was loaded from, from every configuration below the folder."""
    for path in folder.rglob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and content.pop("_name_or_path", None) is not None:
            path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
