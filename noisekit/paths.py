"""Paths as people give them, on a command line, in a plan, in a call; and where noisekit's own weights lie."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from noisekit.errors import BadValue

#: The folder of the weights that ship with noisekit.
BUNDLED = Path(str(files("noisekit"))) / "tiny" / "weights"


def given_path(path: str | Path) -> Path:
    """A path that a user gave, with "~" and "~name" at its beginning replaced by the home folder, as a shell does it.

    Raises `BadValue` where a zero character makes it no path at all.
    """
    if "\0" in str(path):
        raise BadValue(f"{str(path)!r} is no path, as it holds a zero character; leave that out")
    return Path(os.path.expanduser(path))


def path_within(folder: Path, name: str) -> Path:
    """The file of this name in a folder, or below it.

    Raises `BadValue` where the name leads out of the folder: by "..", as an absolute path, through a link, or as no path.
    """
    try:
        path = (folder / name).resolve()
        inside = path.is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # a zero character, links in a circle
        inside = False
    if not inside or (
        os.path.exists(path) and not os.path.isfile(path)
    ):  # a pipe would keep its reader waiting
        raise BadValue(f"{name[:200]!r} is no file within {str(folder)!r}, and is not opened")
    return path
