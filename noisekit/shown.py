"""Text from outside as it may stand on a screen: what would steer a terminal, or turn the reading order, shows as an escape.

Prompts, names of files and models, and what libraries say of them may hold anything. Escaped, as Python writes them, are
control characters (C0 with ESC and BEL, DEL, C1), separators of lines and paragraphs, marks that turn the direction of
writing, and halves of characters, which stand for bytes of a file's name that are no text.
"""

from __future__ import annotations

import unicodedata

#: Marks that turn or isolate the direction of writing: what stands behind them can look like what it is not.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_HIDDEN = frozenset({"Cc", "Cs", "Zl", "Zp"})


def shown(text: str, *, lines: bool = False) -> str:
    """`text` with the above escaped; lines: line breaks stay, in a text of our own making."""
    if text.isprintable():
        return text
    return "".join(letter if _plain(letter, lines) else escaped(letter) for letter in text)


def escaped(letter: str) -> str:
    r"""A character as Python writes it in ASCII, such as \x1b or \u202e."""
    return letter.encode("unicode_escape").decode("ascii")


def _plain(letter: str, lines: bool) -> bool:
    if letter == "\n":
        return lines
    return unicodedata.category(letter) not in _HIDDEN and letter not in _TURNING
