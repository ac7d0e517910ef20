"""Errors that a user can mend: one sentence naming the value, what was expected and what to try.

The command line prints them without a traceback and exits with 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NoisekitError(Exception):
    """Base of every error that noisekit raises on purpose."""


class BadValue(NoisekitError, ValueError):
    """A value given by the user is of the wrong type, out of range or unknown."""


class NotSupported(NoisekitError, TypeError):
    """A method was asked of a model that lacks what it needs."""


class CorruptWeights(NoisekitError, OSError):
    """A weight file or model folder is missing, truncated or of another architecture."""


class Unwritable(NoisekitError, OSError):
    """A file or store cannot take what is to be kept, as on a full disk."""


def unknown(kind: str, name: str, known: Iterable[str]) -> BadValue:
    """The error for a name that is not in a registry, with the nearest known names."""
    names = sorted(known)
    name = name if len(name) <= 100 else f"{name[:100]}…"
    close = [other for other in names if name and other.lower().startswith(name.lower())]
    close = close or difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return BadValue(f"unknown {kind} {name!r}{hint} (known: {', '.join(names)})")
