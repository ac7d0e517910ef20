"""Votes as files for other programs, and back: one row a vote, CSV by the ending .csv, JSON lines by .jsonl.

    ballot      what was shown, 32 hexadecimal digits
    voter       a code: letters, digits, - and _, at most 32
    question    its name, such as overall
    answer      left, right, tie or both_bad
    seconds     how long it took; may be empty
    purpose     pair, repeat, swapped or attention; of: the ballot that a repeat repeats
    left, right           paths of the images within the run, or noise
    model, seed, left_method, right_method      for readers; passed over when read

Votes on ballots that the run knows, which a static page or a crowd-work platform showed, need the first four alone. Others
name their images. What is read is kept as a whole or not at all, and a vote that is there already is not kept again.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec

from noisekit.errors import BadValue, Unwritable
from noisekit.files import parse_json, whole
from noisekit.output import output_file
from noisekit.paths import given_path
from noisekit.store.schema import Answer, Purpose, Voter
from noisekit.store.store import Store
from noisekit.vote.study import LONGEST, NOISE
from noisekit.vote.votes import Votes

ENDINGS = (".csv", ".jsonl")
_COLUMNS = ["ballot", "voter", "question", "answer", "seconds", "purpose", "of", "left", "right"]
_READERS = ["model", "seed", "left_method", "right_method"]


class _Given(msgspec.Struct):
    """A vote as a file has it."""

    ballot: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    voter: Voter
    question: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    answer: Answer
    seconds: Annotated[float, msgspec.Meta(ge=0, le=LONGEST)] | None = None
    purpose: Purpose = "pair"
    of: str | None = None
    left: str | None = None
    right: str | None = None


def write_votes(votes: Votes, file: str | Path) -> Path:
    """Write all votes of a run, repeats and attention pairs too.

    Args:
        votes: Those of `Run.votes()`.
        file: A path that ends in .csv or .jsonl.

    Raises:
        BadValue: It ends otherwise.
        Unwritable: There is no room.
    """
    path = output_file(file, ENDINGS, "votes")
    frame = votes.frame()
    methods = votes.methods_of_images()
    table = frame.assign(left_method=frame["left"].map(methods), right_method=frame["right"].map(methods))
    rows = table[_COLUMNS + _READERS].astype(object).where(table[_COLUMNS + _READERS].notna(), None)
    try:
        with whole(path.resolve()) as part:
            if path.suffix == ".csv":
                rows.to_csv(part, index=False)
            else:
                lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows.to_dict("records"))
                part.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise Unwritable(f"votes {str(path)!r} cannot be written: {error.strerror or error}") from None
    return path


def read_votes(store: Store, images: set[str], file: str | Path) -> tuple[int, int]:
    """Add the votes of a file to a store, and say how many were new, and how many were there already.

    Args:
        store: One that was prepared for writing.
        images: Paths of the run's images.
        file: A path that ends in .csv or .jsonl.

    Raises:
        BadValue: A row that is no vote, or is of images that the run has not; nothing is kept then.
        Unwritable: The store takes no more.
    """
    path = given_path(file)
    if path.suffix not in ENDINGS:
        raise BadValue(f"votes {str(path)!r} do not end in {' or '.join(ENDINGS)}")
    shown = {row["ballot"]: row for row in store.lines("ballots")}
    known = {(row["ballot"], row["voter"], row["question"]) for row in store.lines("votes")}
    kept: dict[tuple[str, str, str], dict[str, Any]] = {}
    rows = 0
    for number, given in _rows(path):
        rows += 1
        row = msgspec.structs.asdict(given)
        if (ballot := shown.get(given.ballot)) is not None:
            row |= {name: ballot[name] for name in ("left", "right", "purpose", "of")}
            if given.question not in ballot["questions"]:
                asked = ", ".join(ballot["questions"])
                raise BadValue(
                    f"row {number} of {str(path)!r} answers {given.question!r}; its ballot asks {asked}"
                )
        elif missing := {row["left"], row["right"]} - images - {NOISE}:
            raise BadValue(
                f"row {number} of {str(path)!r} is on {', '.join(map(repr, sorted(map(str, missing))))}: neither a ballot "
                "nor an image of this run"
            )
        elif row["left"] == row["right"]:
            raise BadValue(f"row {number} of {str(path)!r} has the same image on both sides")
        kept.setdefault((given.ballot, given.voter, given.question), row)
    new = [row for key, row in kept.items() if key not in known]
    store.append("votes", new)
    return len(new), rows - len(new)


def _rows(path: Path) -> Iterator[tuple[int, _Given]]:
    """The rows with their numbers, the first one being 1."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as opened:
            given: Iterator[Any] = csv.DictReader(opened) if path.suffix == ".csv" else _lines(opened)
            for number, row in enumerate(given, 1):
                try:
                    if not isinstance(row, dict):
                        raise ValueError("it is no object with names")
                    values = {name: row[name] for name in _COLUMNS if row.get(name) not in (None, "")}
                    yield number, msgspec.convert(values, _Given, strict=False)
                except ValueError as error:
                    raise BadValue(f"row {number} of {str(path)!r} is no vote: {error}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadValue(f"votes {str(path)!r} cannot be read: {error}") from None


def _lines(opened: Any) -> Iterator[Any]:
    for number, line in enumerate(opened, 1):
        try:
            yield parse_json(line)
        except ValueError as error:
            raise BadValue(f"line {number} of {opened.name!r} is no JSON: {error}") from None
