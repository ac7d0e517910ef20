"""Scores of image files: opened a batch at a time, by several metrics, and nothing that was computed is lost."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, Self

import pandas as pd
from msgspec import Struct, structs
from tqdm.auto import tqdm

from noisekit.hashing import digest, plain
from noisekit.metrics import Evaluator
from noisekit.prompts import Prompt
from noisekit.rewards import release
from noisekit.store.lines import LineFile, Row, read_lines
from noisekit.store.png import read_image

#: The column that names the metrics that could not read all of a prompt.
CUT = "cut"

#: An image and its prompt.
Pair = tuple[Path, Prompt]


class Scored(NamedTuple):
    """frame: one row an image: image, prompt, one column a metric (of pairwise ones the score, since nothing is standard),
    and, where a metric could not read all of some prompt, `cut`: "image_reward 12" says that it left out 12 tokens.
    metrics: what they are, by name.
    """

    frame: pd.DataFrame
    metrics: dict[str, dict[str, Any]]


def score_images(
    pairs: Sequence[Pair],
    metrics: Sequence[str],
    load: Callable[[Sequence[str]], Evaluator],
    *,
    names: Sequence[str] | None = None,
    kept: Path | None = None,
    write: Callable[[Scored], None] | None = None,
    low_memory: bool = False,
    progress: bool = False,
) -> Scored:
    """Score images that are opened a batch at a time. load: makes the evaluator of some metrics.

    names: what the frame calls the images (None: their paths from the folder that holds all of them). kept: a file that
    takes each batch's scores at once, so that an interrupted call goes on where it was; removed in the end, after `write`,
    so that scores that cannot be written are not lost. low_memory: one metric after the other, each forgotten before the
    next is loaded.
    """
    results: dict[str, dict[int, Row]] = {}
    about: dict[str, dict[str, Any]] = {}
    memory = Memory(kept, pairs)
    with memory, tqdm(total=len(pairs) * len(metrics), unit="score", disable=not progress) as bar:
        for group in [[name] for name in metrics] if low_memory else [list(metrics)]:
            about |= _fill(load(group), pairs, results, memory, bar)
            if low_memory:
                release()
    scored = Scored(_frame(pairs, names or _names(pairs), results), about)
    if write is not None:
        write(scored)
    memory.forget()
    return scored


def _fill(
    evaluator: Evaluator,
    pairs: Sequence[Pair],
    results: dict[str, dict[int, Row]],
    memory: Memory,
    bar: tqdm[Any],
) -> dict[str, dict[str, Any]]:
    """Add the rows of an evaluator's metrics to the results; return what the metrics are."""
    about = {}
    for name, metric in evaluator.metrics.items():
        about[name] = asdict(metric.info) | {"identity": dict(metric.identity)}
        results[name] = memory.known(digest(metric.identity))
        bar.update(len(results[name]))
    lacking = [i for i in range(len(pairs)) if any(i not in results[name] for name in about)]
    for start in range(0, len(lacking), evaluator.batch):
        part = lacking[start : start + evaluator.batch]
        for name, rows in _scores(evaluator, pairs, part, results).items():
            memory.keep(rows)
            results[name] |= {row["place"]: row for row in rows}
            bar.update(len(rows))
    return about


def _scores(
    evaluator: Evaluator, pairs: Sequence[Pair], part: Sequence[int], results: Mapping[str, Mapping[int, Row]]
) -> dict[str, list[Row]]:
    """The rows that a part of the images lacks, by metric."""
    images = {i: read_image(pairs[i][0]) for i in part}
    rows = {}
    for name, metric in evaluator.metrics.items():
        own = [i for i in part if i not in results[name]]
        prompts = [pairs[i][1] for i in own]
        values = evaluator.scores([images[i] for i in own], prompts, [name])
        rows[name] = [
            {
                "place": i,
                "metric": digest(metric.identity),
                "values": {column: cells[k] for column, cells in values.items()},
                "cut": cut,
            }
            for k, (i, cut) in enumerate(zip(own, metric.cut([one.text for one in prompts]), strict=True))
        ]
    return rows


def _names(pairs: Sequence[Pair]) -> list[str]:
    """Paths of images from the folder that they share, so that a/1.png and b/1.png are told apart."""
    shared = os.path.commonpath([path.absolute().parent for path, _ in pairs])
    return [path.absolute().relative_to(shared).as_posix() for path, _ in pairs]


def _frame(
    pairs: Sequence[Pair], names: Sequence[str], results: Mapping[str, Mapping[int, Row]]
) -> pd.DataFrame:
    table: list[Row] = []
    for i, (name, (_, prompt)) in enumerate(zip(names, pairs, strict=True)):
        row: Row = {"image": name, "prompt": prompt.text}
        for rows in results.values():
            row |= {key: math.nan if value is None else value for key, value in rows[i]["values"].items()}
        row[CUT] = ", ".join(f"{name} {rows[i]['cut']}" for name, rows in results.items() if rows[i]["cut"])
        table.append(row)
    frame = pd.DataFrame(table)
    return frame if frame[CUT].any() else frame.drop(columns=CUT)


class Kept(Struct, frozen=True, kw_only=True):
    """The score of an image file by a metric, as `Memory` keeps it."""

    image: str
    prompt: str
    record: str
    bytes: int
    modified: int
    place: int
    metric: str
    values: dict[str, float | None]
    cut: int
    created: float


class Memory:
    """Scores of images in a file of lines, known again by image, prompt and metric; without a file, nothing is kept."""

    def __init__(self, file: Path | None, pairs: Sequence[Pair]) -> None:
        self.file = file
        self._places = [
            {
                "image": str(path),
                "prompt": prompt.text,
                "record": digest(plain(prompt.metadata)),
                **_stamp(path),
            }
            for path, prompt in pairs
        ]
        self._lines: LineFile | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._lines is not None:
            self._lines.close()

    def known(self, metric: str) -> dict[int, Row]:
        """The rows of a metric that an earlier call has kept, by the place of their image."""
        if self.file is None or not self.file.is_file():
            return {}
        rows = {
            _key(row): row
            for row in map(structs.asdict, read_lines(self.file, Kept))
            if row["metric"] == metric
        }
        return {i: rows[key] for i, place in enumerate(self._places) if (key := _key(place)) in rows}

    def keep(self, rows: Sequence[Row]) -> None:
        if self.file is None or not rows:
            return
        if self._lines is None:
            self._lines = LineFile(self.file)
        now = {"created": round(time.time(), 6)}
        self._lines.append([plain(self._places[row["place"]] | row | now) for row in rows])

    def forget(self) -> None:
        if self.file is not None:
            self.file.unlink(missing_ok=True)


def _stamp(path: Path) -> dict[str, int]:
    about = path.stat()
    return {"bytes": about.st_size, "modified": about.st_mtime_ns}


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[field] for field in ("image", "prompt", "record", "bytes", "modified"))
