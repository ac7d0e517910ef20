"""The image grid: for each prompt the standard image first and every method's beside it, from the same noise seed."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from noisekit.report.source import TRUTH
from noisekit.report.tables import Line

if TYPE_CHECKING:
    import pandas as pd

ROWS = 10
#: Larger images are shrunk to this many pixels, which is what the page shows of them.
LONGEST = 256


@dataclass(frozen=True)
class Picture:
    """source: a data URI, "" where the image is missing. fulfilled: the ground truth, None where there is none."""

    source: str
    small: bool
    fulfilled: bool | None
    alternative: str


@dataclass(frozen=True)
class GridRow:
    prompt: str
    kind: str
    seed: int
    pictures: Sequence[Picture]


def grid(frame: pd.DataFrame, lines: Sequence[Line], folder: Path) -> list[GridRow]:
    """Rows for one model: the first prompts of each kind in turn, so that nobody chose them, at their first seed."""
    own = frame[frame["model"] == lines[0].model]
    own = own[own["seed"] == own["seed"].min()]
    images = {(row["method"], row["prompt"]): row for row in own.to_dict("records")}
    rows = []
    for row in _first_of_each_kind(own.drop_duplicates("prompt").to_dict("records")):
        prompt = row["prompt"]
        pictures = [_picture(images.get((line.method, prompt)), folder, line.label, prompt) for line in lines]
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


def _picture(row: Mapping[Any, Any] | None, folder: Path, label: str, prompt: str) -> Picture:
    if row is None or not isinstance(row["image"], str):
        return Picture("", False, None, f"{label}: no image of {prompt}")
    score = row.get(TRUTH, math.nan)
    fulfilled = None if score is None or math.isnan(score) else bool(score)
    source, small = embedded(folder / row["image"])
    return Picture(source, small, fulfilled, f"{label}: {prompt}")


def embedded(file: Path) -> tuple[str, bool]:
    """An image file as a PNG data URI, and whether it is so small that it should be shown in large pixels."""
    try:
        with Image.open(file) as opened:
            picture = opened.convert("RGB")
    except OSError:
        return "", False
    picture.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/png;base64,{encoded}", max(picture.size) < LONGEST // 2
