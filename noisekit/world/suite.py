"""The evaluation suite `tiny`: 250 prompts, fixed once and for all in suite.txt.

The kinds take turns and each round of five prompts has exactly one with an unseen thing, so that every
multiple of five prompts from the start is balanced; every multiple of 25 is so within each kind too.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def suite() -> tuple[str, ...]:
    """The captions in their frozen order."""
    return tuple(Path(__file__).with_name("suite.txt").read_text(encoding="utf-8").splitlines())
