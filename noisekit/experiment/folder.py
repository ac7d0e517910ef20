"""A folder of images that are there already, the prompts that belong to them, and their scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noisekit.errors import BadValue
from noisekit.experiment.scored import CUT, Pair, Scored
from noisekit.experiment.store import plain
from noisekit.prompts.files import read_records
from noisekit.registry import shortened
from noisekit.shown import shown

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
#: Images whose scores the terminal shows one by one.
SHOWN = 100


def match(folder: Path, prompts: Path) -> list[Pair]:
    """Images with their prompts: by the column "image" of the file where it has one, else in the order of names.

    Raises `BadValue` on folders without images, on names that are not there and on numbers that differ.
    """
    if not folder.is_dir():
        raise BadValue(f"{str(folder)!r} is not a folder of images")
    records = [record for record in read_records(prompts) if str(record["prompt"]).strip()]
    texts = [str(record["prompt"]).strip() for record in records]
    if records and "image" in records[0]:
        paths = [folder / str(record["image"]) for record in records]
        for path in paths:
            if not path.is_file():
                raise BadValue(f"prompt file {str(prompts)!r} names image {str(path)!r}, which is not there")
        return list(zip(paths, texts, strict=True))
    images = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not images:
        raise BadValue(f"folder {str(folder)!r} holds no image ({', '.join(SUFFIXES)})")
    if len(images) != len(texts):
        raise BadValue(
            f"folder {str(folder)!r} holds {len(images)} images and {str(prompts)!r} {len(texts)} prompts; give one "
            'prompt an image, or a table with columns "image" and "prompt"'
        )
    return list(zip(images, texts, strict=True))


def write_scores(scored: Scored, path: Path) -> None:
    """Write scores and what the metrics are: one .json with "metrics" and "scores", else a CSV and its .metrics.json."""
    if path.suffix.lower() == ".json":
        _write_json(path, {"metrics": scored.metrics, "scores": scored.frame.to_dict("records")})
    else:
        scored.frame.to_csv(path, index=False)
        _write_json(path.with_suffix(".metrics.json"), scored.metrics)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def table(frame: pd.DataFrame) -> Table:
    """Scores for the terminal, their means last; of many images the means alone."""
    from rich.table import Table
    from rich.text import Text

    columns = [column for column in frame.columns[2:] if column != CUT]
    result = Table("image", "prompt", *columns, box=None, pad_edge=False)
    for row in frame.to_dict("records") if len(frame) <= SHOWN else []:
        cells = (f"{row[column]:.4f}" for column in columns)
        result.add_row(Text(shown(row["image"])), Text(shown(shortened(row["prompt"], 40))), *cells)
    means = (f"{frame[column].mean():.4f}" for column in columns)
    result.add_row("mean" if len(frame) <= SHOWN else f"mean of {len(frame)}", "", *means, style="bold")
    return result
