"""What an interrupted command says: what is kept and how to go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from noisekit.errors import NoisekitError


class Interrupted(Exception):
    """Ctrl-C or SIGTERM, with the sentence to show."""


@contextmanager
def kept_in(store: Path, command: str | None = None) -> Iterator[None]:
    """Turn an interruption into one that counts the finished images in a store, and names the command that goes on."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; {_finished(store)} finished images are kept in {store}: "
            f"{f'`{command}`' if command else 'the same command'} goes on from there"
        ) from None


def _finished(store: Path) -> int:
    from noisekit.results import load_run

    try:
        return len(load_run(store))
    except NoisekitError:
        return 0
