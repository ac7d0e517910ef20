"""The image grid: for each prompt the standard image first and every method's beside it, from the same noise seed.

Beside each image stands what the method changed, dark on white: 1 − min(1, AMPLIFIED · max over channels |x − x_standard|).
Frames play, and what changed in them stands still, as their contact sheet.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageSequence

from noisekit.errors import BadValue
from noisekit.paths import path_within
from noisekit.pictures import animation, read_picture
from noisekit.report.source import STANDARD
from noisekit.report.tables import Line

if TYPE_CHECKING:
    import pandas as pd

ROWS = 10
#: Larger images are shrunk to this many pixels, which is what the page shows of them.
LONGEST = 256
#: How much stronger differences between images are drawn than they are.
AMPLIFIED = 3


@dataclass(frozen=True)
class Picture:
    """source, change: data URIs of the image and of its difference to standard, "" where either is missing.

    small: shown in large pixels. fulfilled: the ground truth, None where there is none.
    alternative: what a screen reader says.
    """

    source: str
    change: str
    small: bool
    fulfilled: bool | None
    alternative: str


@dataclass(frozen=True)
class GridRow:
    prompt: str
    kind: str
    seed: int
    pictures: Sequence[Picture]


def grid(frame: pd.DataFrame, lines: Sequence[Line], folder: Path, truth: str | None) -> list[GridRow]:
    """Rows for one model: the first prompts of each kind in turn, so that nobody chose them, at their first seed."""
    own = frame[frame["model"] == lines[0].model]
    own = own[own["seed"] == own["seed"].min()]
    images = {(row["method"], row["prompt"]): row for row in own.to_dict("records")}
    rows = []
    for row in _first_of_each_kind(own.drop_duplicates("prompt").to_dict("records")):
        prompt = row["prompt"]
        standard = images.get((STANDARD, prompt))
        pictures = [
            _picture(images.get((line.method, prompt)), standard, folder, line.label, truth) for line in lines
        ]
        kind = row["kind"] if isinstance(row["kind"], str) else ""
        rows.append(GridRow(prompt, kind, int(row["seed"]), pictures))
    return rows


def _first_of_each_kind(prompts: Sequence[Mapping[Any, Any]]) -> list[Mapping[Any, Any]]:
    seen: dict[str, int] = {}
    turns = []
    for place, row in enumerate(prompts):
        kind = str(row["kind"])
        seen[kind] = seen.get(kind, 0) + 1
        turns.append((seen[kind], place))
    chosen = [prompts[place] for _, place in sorted(turns)[:ROWS]]
    kinds = list(seen)
    return sorted(chosen, key=lambda row: kinds.index(str(row["kind"])))


def _picture(
    row: Mapping[Any, Any] | None,
    standard: Mapping[Any, Any] | None,
    folder: Path,
    label: str,
    truth: str | None,
) -> Picture:
    image = _read(row, folder)
    if row is None or image is None:
        return Picture("", "", False, None, f"{label}: no image")
    score = math.nan if truth is None else row[truth]
    fulfilled = None if math.isnan(score) else bool(score)
    beside = None if row is standard else _read(standard, folder)
    change = embedded(difference(image, beside)) if beside and beside.size == image.size else ""
    return Picture(
        _playing(row, folder) or embedded(image),
        change,
        max(image.size) < LONGEST // 2,
        fulfilled,
        f"{label}: {row['prompt']}",
    )


def _read(row: Mapping[Any, Any] | None, folder: Path) -> Image.Image | None:
    if row is None or not isinstance(row["image"], str):
        return None
    try:
        return read_picture(path_within(folder, row["image"]))
    except BadValue:  # the page is written without it
        return None


def _playing(row: Mapping[Any, Any], folder: Path) -> str:
    """The animation that lies beside a stored contact sheet, as a data URI; "" where there is none."""
    file = path_within(folder, row["image"]).with_suffix(".webp")
    try:
        with Image.open(file, formats=["WEBP"]) as played:
            frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(played)]
    except OSError:
        return ""
    for frame in frames:
        frame.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    return f"data:image/webp;base64,{base64.b64encode(animation(frames)).decode('ascii')}"


def difference(image: Image.Image, standard: Image.Image) -> Image.Image:
    """What changed between two images of one size, amplified: white where nothing did."""
    change = np.abs(np.asarray(image, dtype=int) - np.asarray(standard, dtype=int)).max(-1)
    return Image.fromarray((255 - np.minimum(AMPLIFIED * change, 255)).astype(np.uint8))


def embedded(image: Image.Image) -> str:
    """An image as the data URI of a PNG, shrunk to what the page shows of it."""
    image = image.copy()
    image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
