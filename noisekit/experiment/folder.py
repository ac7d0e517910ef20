"""A folder of images that are there already, the prompts that belong to them, and their scores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from noisekit.errors import BadValue
from noisekit.evaluation import Evaluator
from noisekit.experiment.png import read_image
from noisekit.experiment.store import plain
from noisekit.prompts.files import read_records

if TYPE_CHECKING:
    from rich.table import Table

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")

Pair = tuple[Path, str]


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


def score_images(pairs: Sequence[Pair], evaluator: Evaluator) -> pd.DataFrame:
    """One row an image: image, prompt, one column a metric; of pairwise metrics the score, since nothing is standard."""
    size = evaluator.batch
    parts = []
    for part in (pairs[start : start + size] for start in range(0, len(pairs), size)):
        scores = evaluator([read_image(path) for path, _ in part], [text for _, text in part])
        names = pd.DataFrame({"image": [path.name for path, _ in part], "prompt": [text for _, text in part]})
        parts.append(pd.concat([names, scores], axis=1))
    return pd.concat(parts, ignore_index=True)


def write_scores(frame: pd.DataFrame, evaluator: Evaluator, path: Path) -> None:
    """Write scores and what the metrics are: one .json with "metrics" and "scores", else a CSV and its .metrics.json."""
    metrics = {
        name: asdict(metric.info) | {"identity": metric.identity}
        for name, metric in evaluator.metrics.items()
    }
    if path.suffix.lower() == ".json":
        _write_json(path, {"metrics": metrics, "scores": frame.to_dict("records")})
    else:
        frame.to_csv(path, index=False)
        _write_json(path.with_suffix(".metrics.json"), metrics)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def table(frame: pd.DataFrame) -> Table:
    """Scores for the terminal, their means last."""
    from rich.table import Table
    from rich.text import Text

    columns = list(frame.columns[2:])
    result = Table(*frame.columns, box=None, pad_edge=False)
    for row in frame.itertuples(index=False):
        result.add_row(Text(row[0]), Text(row[1]), *(f"{value:.4f}" for value in row[2:]))
    result.add_row("mean", "", *(f"{frame[column].mean():.4f}" for column in columns), style="bold")
    return result
