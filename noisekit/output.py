"""Files that a command writes for people: of a kind that their names say, and never over what was read or is kept.

A run is a folder with a manifest. A page or a table may lie in it, but not where its own facts and pictures lie.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from noisekit.errors import BadValue
from noisekit.paths import given_path

#: The file that makes a folder a run, and the folders in which a run keeps what it holds.
MANIFEST = "manifest.json"
KEPT = frozenset(
    "rows noises scores metrics diversity traces failures settings calibrations ballots votes images".split()
)


def output_file(
    path: str | Path, endings: Sequence[str], what: str = "output", inputs: Iterable[Path] = ()
) -> Path:
    """The path of a file that may be written; what was there stays until then, and nothing new is left.

    Args:
        path: As a user gave it; a device such as /dev/stdout needs no ending.
        endings: What its name may end in, in small letters.
        what: What it will be, for sentences: table, figure, report.
        inputs: Files that are read and must stay.

    Raises:
        BadValue: Its name ends otherwise, it is an input, part of a run or of a folder that is not there, or it cannot be
            written.
    """
    path = given_path(path)
    special = os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)
    if path.suffix.lower() not in endings and not special:
        wanted = " or ".join(filter(None, (", ".join(endings[:-1]), endings[-1])))
        raise BadValue(f"{what} {str(path)!r} does not end in {wanted}")
    check_apart(path, inputs, what)
    if special:  # opening a pipe to see whether that works would end what its reader reads
        return path
    there = os.path.exists(path)
    try:
        with path.open("ab"):
            pass
        if not there:
            path.unlink()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadValue(f"{what} {str(path)!r} cannot be written: {reason}; give another path") from None
    return path


def check_apart(path: Path, inputs: Iterable[Path] = (), what: str = "output") -> None:
    """Raise `BadValue` where writing a file would destroy one that is read, or what a run keeps."""
    if os.path.exists(path):
        there = os.stat(path)
        for read in inputs:
            if os.path.exists(read) and os.path.samestat(there, os.stat(read)):
                raise BadValue(
                    f"{what} {str(path)!r} would be written over {str(read)!r}, which is read; give another path"
                )
    place = Path(os.path.realpath(path))
    for folder in place.parents:
        if not (os.path.isfile(folder / MANIFEST) and os.path.isdir(folder / "rows")):
            continue
        first = place.relative_to(folder).parts[0]
        if first == MANIFEST or first in KEPT:
            raise BadValue(
                f"{what} {str(path)!r} would lie among what run {str(folder)!r} keeps; give another path"
            )
