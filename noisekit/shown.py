"""Text from outside as it may stand on a screen: what would steer a terminal, or turn the reading order, shows as an escape.

Prompts, names of files and models, and what libraries say of them may hold anything. Escaped, as Python writes them, are
control characters (C0 with ESC and BEL, DEL, C1), separators of lines and paragraphs, marks that turn the direction of
writing, and halves of characters, which stand for bytes of a file's name that are no text.
"""

from __future__ import annotations

import re

#: Control characters; separators of lines and paragraphs; halves of characters.
_HIDDEN = "\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
#: Marks that turn or isolate the direction of writing: what stands behind them can look like what it is not.
_TURNING = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_STEERING = re.compile(f"[{_HIDDEN}{_TURNING}]")
_BUT_LINES = re.compile(f"(?!\n)[{_HIDDEN}{_TURNING}]")


def shown(text: str, *, lines: bool = False) -> str:
    """`text` with the above escaped; lines: line breaks stay, in a text of our own making."""
    return (_BUT_LINES if lines else _STEERING).sub(lambda found: escaped(found[0]), text)


def escaped(letter: str) -> str:
    r"""A character as Python writes it in ASCII, such as \x1b or \u202e."""
    return letter.encode("unicode_escape").decode("ascii")
