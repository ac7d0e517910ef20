"""Scores of a folder's images: the files that they go to, and the table on the screen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noisekit.errors import BadValue, Unwritable
from noisekit.files import write_whole
from noisekit.hashing import plain
from noisekit.output import check_apart
from noisekit.registry import shortened
from noisekit.results.export import save, table_file
from noisekit.scoring.scored import CUT, Scored
from noisekit.shown import shown

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

ENDINGS = (".csv", ".parquet", ".json")
#: Images whose scores the terminal shows one by one.
SHOWN = 100


def part_of(output: Path) -> Path:
    """The file that keeps what an interrupted call has scored."""
    return output.with_name(f"{output.name}.part")


def check_output(output: Path, inputs: Sequence[Path], *, safe_csv: bool = False) -> None:
    """Raise `BadValue` where no table can be of that name, or where writing it would destroy an input."""
    table_file(output, ENDINGS, inputs, safe_csv=safe_csv)
    for file in (output, _about(output), part_of(output)):
        check_apart(file, inputs, "table")
        if file.exists() and not file.is_file():
            raise BadValue(f"output {str(file)!r} is no regular file; give another with --output")


def write_scores(scored: Scored, path: Path, *, safe_csv: bool = False) -> None:
    """Write scores and what the metrics are: one .json with "metrics" and "scores", else a table and its .metrics.json.

    Each file is there in full or not at all; raises `Unwritable` where there is no room.
    """
    if path.suffix.lower() == ".json":
        _write_json(path, {"metrics": scored.metrics, "scores": scored.frame.to_dict("records")})
    else:
        save(scored.frame, path, safe_csv=safe_csv)
        _write_json(_about(path), scored.metrics)


def _about(output: Path) -> Path:
    return output.with_suffix(".metrics.json")


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False)
    try:
        write_whole(path.resolve(), f"{text}\n".encode())
    except OSError as error:
        raise Unwritable(f"scores {str(path)!r} cannot be written: {error.strerror or error}") from None


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
