"""Tables for other programs, Parquet, CSV or JSON: a run's images, and the scores of a folder.

Each column of a run has the same type whatever it holds. The list of a prompt's categories is written as JSON text.

A cell of a CSV that begins with =, +, -, @, a tab or a line break is a formula to a spreadsheet, and a prompt may begin so.
Files hold prompts as they are, unless `safe_csv` asks for an apostrophe before such cells.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from noisekit.errors import BadValue, Unwritable
from noisekit.files import whole
from noisekit.output import output_file

ENDINGS = (".parquet", ".csv")

#: Columns that a frame may hold as objects, since values can be missing.
TYPES = {"kind": "string", "unseen": "boolean", "suite": "string", "categories": "string"}
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def table_file(
    path: str | Path,
    endings: Sequence[str] = ENDINGS,
    inputs: Iterable[Path] = (),
    *,
    safe_csv: bool = False,
) -> Path:
    """The path of a table that may be written, a .csv where formulas are to be texts; see `output_file`."""
    path = output_file(path, endings, "table", inputs)
    if safe_csv and path.suffix.lower() != ".csv":
        raise BadValue(
            f"safe_csv is about formulas in a .csv, and table {str(path)!r} has none; leave it out"
        )
    return path


def write_table(frame: pd.DataFrame, path: str | Path, *, safe_csv: bool = False) -> Path:
    """Write a run's frame and return the path; raises `BadValue` on other endings, `Unwritable` where there is no room."""
    path = table_file(path, safe_csv=safe_csv)
    categories = [value and json.dumps(value, ensure_ascii=False) for value in frame["categories"]]
    save(frame.assign(categories=categories).astype(TYPES), path, safe_csv=safe_csv)
    return path


def save(frame: pd.DataFrame, path: Path, *, safe_csv: bool = False) -> None:
    """Write a frame of plain values as Parquet or, by any other ending, CSV; raises `Unwritable`."""
    try:
        with whole(path.resolve()) as part:
            if path.suffix.lower() == ".parquet":
                _write_parquet(frame, part)
            else:
                plain = frame.map(_harmless) if safe_csv else frame
                plain.to_csv(part, index=False, quoting=_quoting(plain))
    except OSError as error:
        raise Unwritable(f"table {str(path)!r} cannot be written: {error}") from None


def _write_parquet(frame: pd.DataFrame, path: Path) -> None:
    import duckdb  # only where it is asked for

    try:
        duckdb.from_df(frame).write_parquet(str(path))
    except duckdb.IOException as error:
        raise OSError(str(error)) from error


def _quoting(frame: pd.DataFrame) -> Literal[0, 2]:
    """Quotes where they are needed; the csv module sees no need in a carriage return, at which readers begin a new row."""
    texts = frame.select_dtypes(exclude=["number", "bool"])
    torn = any(column.astype(str).str.contains("\r", regex=False).any() for _, column in texts.items())
    return csv.QUOTE_NONNUMERIC if torn else csv.QUOTE_MINIMAL


def _harmless(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
