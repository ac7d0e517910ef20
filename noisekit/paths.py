"""Paths as people give them, at the boundary: on a command line, in a plan, in a call."""

from __future__ import annotations

import os
from pathlib import Path

from noisekit.errors import BadValue


def given_path(path: str | Path) -> Path:
    """A path that a user gave, with "~" and "~name" at its beginning replaced by the home folder, as a shell does it.

    Raises `BadValue` where a zero character makes it no path at all.
    """
    if "\0" in str(path):
        raise BadValue(f"{str(path)!r} is no path, as it holds a zero character; leave that out")
    return Path(os.path.expanduser(path))
