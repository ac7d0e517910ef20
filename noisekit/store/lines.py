"""Files of whole lines: a line is there in full or not at all.

A line is one JSON value and its line break, and an append that fails is taken back, so that the next one finds whole lines
before it. Only a process that dies in the middle of an append can leave part of a line, as the last of its own file; readers
pass over it. What a line has to hold stands in `store.schema`.
"""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import structs

from noisekit.errors import BadValue
from noisekit.files import parse_json

Row = dict[str, Any]
Line = TypeVar("Line", bound=msgspec.Struct)

#: Bytes of a line beyond which it is damaged; a search of 100,000 candidates has a line of some 20 MiB.
LONGEST_LINE = 64 * 2**20
#: Bytes that are searched at once for the end of the last whole line.
PART = 2**16


class LineFile:
    """A file that one writer appends lines to; a last line that an earlier writer left half is taken out of it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+b", buffering=0)
        whole, size = self._whole(), self._file.seek(0, os.SEEK_END)
        if whole < size:
            self._file.truncate(whole)

    def _whole(self) -> int:
        """The bytes up to the last line break."""
        end = self._file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - PART)
            self._file.seek(start)
            found = self._file.read(end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
        return 0

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


def read_lines(file: Path, kind: type[Line]) -> Iterator[Line]:
    """The lines of a file, one at a time in memory, without a last one that was cut off.

    Args:
        file: One that `LineFile` wrote.
        kind: What a line holds, field by field; further fields are passed over.

    Raises:
        BadValue: A line is no strict JSON, or lacks a field, or has one of another type; or this is no file.
    """
    decode, names = msgspec.json.Decoder(kind).decode, _NamesOnce(kind)
    if not file.is_file():
        raise BadValue(f"{str(file)!r} stands where a file of lines should be; move it away")
    with file.open("rb") as opened:
        for number in count(1):
            text = opened.readline(LONGEST_LINE + 1)
            if not text:
                return
            if text.isspace():
                continue
            try:
                if len(text) > LONGEST_LINE:
                    raise ValueError(f"it is longer than {LONGEST_LINE // 2**20} MiB")
                line = decode(text)
                names.check(text, line)
            except (ValueError, RecursionError) as error:
                if text[-1:] != b"\n" and _cut_off(text):
                    return
                raise BadValue(
                    f"line {number} of {str(file)!r} is damaged: {_reason(text, error)}; take the line out to go on "
                    "without it"
                ) from None
            yield line


class _NamesOnce:
    """Refuses lines in which two values have one name: some readers would take the first of them, and some the last.

    To look at every name takes eight times as long as decoding. Lines of one file have the same names but in mappings, so a
    line that has as many as another, which was looked at, is taken as it is.
    """

    def __init__(self, kind: type[msgspec.Struct]) -> None:
        self._counts = set[int]()
        self._mappings = [
            (f.name, _size(str(f.type))) for f in structs.fields(kind) if "dict[" in str(f.type)
        ]

    def check(self, text: bytes, line: msgspec.Struct) -> None:
        """Raise `ValueError` where a line has a name twice. text: as it stands in the file."""
        count = text.count(b'":')
        for name, size in self._mappings:
            if value := getattr(line, name):
                count -= size(value)
        if count not in self._counts:
            parse_json(text)
            if b'\\":' not in text:  # which a string may hold, and is counted with the names
                self._counts.add(count)


def _size(kind: str) -> Callable[[Any], int]:
    """What counts the names of a field, by its type."""
    if "Any" in kind:
        return _names
    return _names_of_all if kind.startswith("tuple") else len


def _names_of_all(mappings: Sequence[Mapping[str, Any]]) -> int:
    return sum(map(len, mappings))


def _names(value: Any) -> int:
    """Those of mappings within mappings, too."""
    own, inside = (len(value), value.values()) if isinstance(value, dict) else (0, value)
    return own + sum([_names(one) for one in inside if isinstance(one, dict | list)])


def _cut_off(text: bytes) -> bool:
    """Whether it is the beginning of a line: no beginning of an object is JSON itself."""
    try:
        msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return len(text) <= LONGEST_LINE
    return False


def _reason(text: bytes, error: Exception) -> str:
    if text.startswith(codecs.BOM_UTF8):
        return "it begins with a byte order mark"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    if isinstance(error, RecursionError):
        return "its values lie too deep in each other"
    said = str(error)
    return said if said.startswith("JSON") else f"{said[:1].lower()}{said[1:]}"
