"""A run as one table for other programs, Parquet or CSV: one row an image, its columns those of `Run.frame`.

Each column has the same type whatever a run holds. The list of a prompt's categories is written as JSON text.
"""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pandas as pd

from noisekit.errors import BadValue, Unwritable

ENDINGS = (".parquet", ".csv")

#: Columns that a frame may hold as objects, since values can be missing.
TYPES = {"kind": "string", "unseen": "boolean", "suite": "string", "categories": "string"}


def check_ending(path: Path) -> None:
    """Raise `BadValue` unless the name of a file says which kind of table it is."""
    if path.suffix.lower() not in ENDINGS:
        raise BadValue(f"table {str(path)!r} does not end in {' or '.join(ENDINGS)}")


def write_table(frame: pd.DataFrame, path: Path) -> Path:
    """Write a run's frame and return the path; raises `BadValue` on other endings, `Unwritable` where there is no room."""
    check_ending(path)
    categories = [value and json.dumps(value, ensure_ascii=False) for value in frame["categories"]]
    flat = frame.assign(categories=categories).astype(TYPES)
    try:
        if path.suffix.lower() == ".csv":
            flat.to_csv(path, index=False)
        else:
            duckdb.from_df(flat).write_parquet(str(path))
    except (OSError, duckdb.IOException) as error:
        raise Unwritable(f"table {str(path)!r} cannot be written: {error}") from None
    return path
