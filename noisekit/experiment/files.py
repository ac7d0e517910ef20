"""Files of whole lines: a line is there in full or not at all.

A line is one JSON value and its line break, and an append that fails is taken back, so that the next one finds whole lines
before it. Only a process that dies in the middle of an append can leave part of a line, as the last of its own file; readers
pass over it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from noisekit.errors import BadValue

Row = dict[str, Any]


class LineFile:
    """A file that one writer appends lines to; it appears with the first of them."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write all rows, or none of them and raise `OSError`. They outlive this process."""
        text = "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
        before = self._file.seek(0, os.SEEK_END)
        content = memoryview(text.encode())
        try:
            while content:  # a disk that is nearly full takes a part first
                content = content[self._file.write(content) :]
        except BaseException:
            with suppress(OSError):
                self._file.truncate(before)
            raise

    def close(self) -> None:
        self._file.close()


def read_lines(file: Path) -> Iterator[Row]:
    """The rows of a file, without a last one that was cut off; raises `BadValue` on a damaged one before it."""
    lines = file.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        row = _row(line)
        if row is not None:
            yield row
        elif line and number < len(lines):  # only the last lacks a line break
            raise BadValue(
                f"line {number} of {str(file)!r} is damaged; take the line out to go on without it"
            )


def check_lines(file: Path) -> None:
    """Raise `BadValue` on a damaged line."""
    for _ in read_lines(file):
        pass


def _row(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and "created" in row else None
