"""Prompt files: .txt (one prompt a line), .csv and .tsv (a named column), .json and .jsonl (texts or records).

Every record comes out as a mapping with the text under "prompt" and the other columns under their lower-case names. A file
that is damaged (rows of unequal length, an unclosed quote, bytes that are no text) is refused, never read in part.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from noisekit.errors import BadValue
from noisekit.files import check_file
from noisekit.image_prompts import ImagePrompt
from noisekit.registry import shortened
from noisekit.types import LONGEST_PROMPT

#: Names of the column that holds the text, in order of preference; case does not matter.
COLUMNS = ("prompt", "prompts", "text", "caption")
#: The column that names the picture of a prompt that is an image; beside it a record needs no text.
IMAGE = "image"

Record = dict[str, Any]


def read_records(path: Path) -> list[Record]:
    """The records of a prompt file, empty ones included; `BadValue` when it is missing or does not read as its suffix."""
    suffix = path.suffix.lower()
    if suffix not in _READERS:
        raise BadValue(f"prompt file {str(path)!r} does not end in {', '.join(_READERS)}")
    try:
        return _READERS[suffix](_text(path))
    except _Unreadable as problem:
        raise BadValue(f"prompt file {str(path)!r} {problem}") from None


class _Unreadable(Exception):
    """What is wrong with the content, as the end of a sentence about the file."""


def checked_text(text: Any, where: str) -> str:
    """The text without the space around it; `BadValue` where no text encoder could read it."""
    if not isinstance(text, str):
        raise BadValue(f"{where} holds {shortened(repr(text))} where a text should be")
    text = type(text)(text.strip(), text.image) if isinstance(text, ImagePrompt) else text.strip()
    if len(text) > LONGEST_PROMPT:
        raise BadValue(
            f"{where} holds a prompt of {len(text)} characters ({shortened(text)!r}), more than the {LONGEST_PROMPT} "
            "allowed; text encoders read under 100 words, so shorten it"
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadValue(
            f"{where} holds {shortened(ascii(text))}, half of a character; save it as UTF-8"
        ) from None
    return text


def _text(path: Path) -> str:
    check_file(path, "prompt file")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Unreadable(f"is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise _Unreadable(f"cannot be read: {error.strerror or error}") from None
    if "\0" in text:
        raise _Unreadable("is not a text file: it holds zero bytes")
    if not text.strip():
        raise _Unreadable("is empty; give at least one line of text")
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")


def _lines(text: str) -> list[Record]:
    return [{"prompt": line} for line in text.split("\n")]


def _table(text: str, delimiter: str = ",", quoting: int = csv.QUOTE_MINIMAL) -> list[Record]:
    lines = _cells(text, delimiter, quoting, strict=False)
    start = next(i for i, (_, cells) in enumerate(lines) if cells)
    header, body = [cell.strip().lower() for cell in lines[start][1]], lines[start + 1 :]
    _check_names(header)
    column = _column(header)
    uneven = [(number, len(cells)) for number, cells in body if len(cells) not in (0, len(header))]
    if uneven:
        raise _Unreadable(
            f"has {len(uneven)} of {len(body)} rows with more or fewer cells than its header (line {uneven[0][0]} has "
            f"{uneven[0][1]}, the header {len(header)}), so texts may be cut; put quotes around texts that contain the "
            "separator, or get an undamaged copy"
        )
    _cells(text, delimiter, quoting, strict=True)
    rows = [dict(zip(header, cells, strict=True)) if cells else {column: ""} for _, cells in body]
    return [_with_text(row, column) for row in rows]


def _cells(text: str, delimiter: str, quoting: int, *, strict: bool) -> list[tuple[int, list[str]]]:
    """Line numbers and cells; strict refuses quotes that are not closed where a cell ends."""
    source = io.StringIO(text, newline="")
    reader = csv.reader(source, delimiter=delimiter, quoting=quoting, strict=strict)  # type: ignore[arg-type]
    try:
        return [(reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        raise _Unreadable(
            f"is not a table ({error} in line {reader.line_num}); close every quote, and double quotes inside quotes"
        ) from None


def _tabbed(text: str) -> list[Record]:
    """With quotes around cells where that reads as such throughout; otherwise, as in PartiPrompts, quotes are letters."""
    try:
        return _table(text, "\t")
    except _Unreadable:
        return _table(text, "\t", csv.QUOTE_NONE)


def _json(text: str) -> list[Record]:
    entries = _parsed(text)
    if not isinstance(entries, list):
        raise _Unreadable("is not a JSON list of texts or of records")
    return [_record(entry, f" in entry {n}") for n, entry in enumerate(entries, 1)]


def _json_lines(text: str) -> list[Record]:
    lines = enumerate(text.split("\n"), 1)
    return [_json_line(line, f" in line {n}") if line.strip() else {"prompt": ""} for n, line in lines]


def _json_line(line: str, where: str) -> Record:
    return _record(_parsed(line, where), where)


def _parsed(text: str, where: str = "") -> Any:
    try:
        return json.loads(text, object_pairs_hook=_fields)
    except (ValueError, RecursionError) as error:
        raise _Unreadable(f"is not valid JSON{where}: {error}") from None


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _check_names([name for name, _ in pairs])
    return dict(pairs)


def _record(entry: Any, where: str) -> Record:
    if isinstance(entry, str):
        return {"prompt": entry}
    if not isinstance(entry, Mapping):
        raise _Unreadable(f"holds {shortened(repr(entry))} where a text or a record should be{where}")
    _check_names(names := [name.strip().lower() for name in entry])
    row = dict(zip(names, entry.values(), strict=True))
    return _with_text(row, _column(names, where))


def _check_names(names: list[str]) -> None:
    """Of two columns of one name only one would be read."""
    twice = [name for name, times in Counter(names).items() if times > 1 and name]
    if twice:
        raise _Unreadable(f"has {shortened(repr(twice[0]))} twice; rename one of the two, or take it out")


def _with_text(row: Record, column: str) -> Record:
    return {"prompt": "" if column == IMAGE else row.pop(column)} | row


def _column(names: list[str], where: str = "") -> str:
    for name in (*COLUMNS, IMAGE):
        if name in names:
            return name
    given = shortened(", ".join(names)) or "none"
    raise _Unreadable(f"has no column {', '.join(COLUMNS[:-1])} or {COLUMNS[-1]}{where}; it has: {given}")


_READERS: Mapping[str, Callable[[str], list[Record]]] = {
    ".txt": _lines,
    ".csv": _table,
    ".tsv": _tabbed,
    ".json": _json,
    ".jsonl": _json_lines,
}
