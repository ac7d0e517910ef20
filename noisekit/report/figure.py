"""How figures look: one colour and one mark a method, the same in all of them.

Colours are Okabe and Ito's, which stay apart under the common forms of colour blindness; the page has them for a light and
for a dark screen (colours.css), and standard is grey.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from noisekit.report.source import STANDARD

WIDE = 1018  # pixels that fill the page
COLOURS = 7
#: Marks as paths about (0, 0).
MARKS = {
    "o": "M5,0A5,5 0 1 1 -5,0A5,5 0 1 1 5,0Z",
    "s": "M-4.5,-4.5H4.5V4.5H-4.5Z",
    "^": "M0,-5.5L5.5,4.5H-5.5Z",
    "D": "M0,-6L6,0L0,6L-6,0Z",
    "v": "M0,5.5L5.5,-4.5H-5.5Z",
    "P": "M-2,-5.5H2V-2H5.5V2H2V5.5H-2V2H-5.5V-2H-2Z",
    "X": "M-5.5,-3L-3,-5.5L0,-2.5L3,-5.5L5.5,-3L2.5,0L5.5,3L3,5.5L0,2.5L-3,5.5L-5.5,3L-2.5,0Z",
}


@dataclass(frozen=True)
class Look:
    """colour: by its name in the page's styles. marker: among `MARKS`."""

    colour: str
    marker: str

    @property
    def css(self) -> str:
        """The colour as a page says it."""
        return f"var(--{self.colour})"


def looks(names: Sequence[str]) -> Mapping[str, Look]:
    """One colour and marker a method, the same in every figure."""
    others, marks = [name for name in dict.fromkeys(names) if name != STANDARD], list(MARKS)
    chosen = {
        name: Look(f"c{i % COLOURS + 1}", marks[(i + i // COLOURS) % len(marks)])
        for i, name in enumerate(others)
    }
    return {STANDARD: Look("grey", "o"), **chosen}


def rows_of(panels: int, longest: int) -> tuple[int, int]:
    """(columns, rows) that hold some panels in rows of about equal length."""
    rows = math.ceil(panels / longest)
    return math.ceil(panels / rows), rows


def wrapped(label: str, width: int = 30) -> str:
    """A label over several lines where it is long, broken between settings and after brackets."""
    lines = textwrap.wrap(label.replace("(", "( "), width, break_long_words=False)
    return "\n".join(lines).replace("( ", "(")
