"""How figures look and how they get into the page: inline SVG with text kept as text.

Colours are Okabe and Ito's, which stay apart under the common forms of colour blindness; every method also has a marker
of its own, and standard is grey.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from noisekit.report.source import STANDARD

WIDE = 10.6  # inches that fill the page
GREY = "#6b7280"
INK = "#1f2933"
TICK, AXIS, GRID = "#52606d", "#9aa5b1", "#e4e7eb"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
#: Each of them as a path about (0, 0).
MARKS = {
    "o": "M5,0A5,5 0 1 1 -5,0A5,5 0 1 1 5,0Z",
    "s": "M-4.5,-4.5H4.5V4.5H-4.5Z",
    "^": "M0,-5.5L5.5,4.5H-5.5Z",
    "D": "M0,-6L6,0L0,6L-6,0Z",
    "v": "M0,5.5L5.5,-4.5H-5.5Z",
    "P": "M-2,-5.5H2V-2H5.5V2H2V5.5H-2V2H-5.5V-2H-2Z",
    "X": "M-5.5,-3L-3,-5.5L0,-2.5L3,-5.5L5.5,-3L2.5,0L5.5,3L3,5.5L0,2.5L-3,5.5L-5.5,3L-2.5,0Z",
}

#: The page's names of these colours, which it has for a light and for a dark screen; hollow marks are of the page's own.
_NAMES = {GREY: "grey", INK: "ink", TICK: "tick", AXIS: "axis", GRID: "grid", "#ffffff": "back"} | {
    colour: f"c{place}" for place, colour in enumerate(COLOURS, 1)
}

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "noisekit",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "text.parse_math": False,
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # where it comes to stand by itself, after a look at every tick
    "axes.labelsize": 9.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": AXIS,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": TICK,
    "ytick.color": TICK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.frameon": False,
    "legend.fontsize": 9,
}


@dataclass(frozen=True)
class Look:
    colour: str
    marker: str

    @property
    def css(self) -> str:
        """The colour as a page says it."""
        return _named(self.colour)


def looks(names: Sequence[str]) -> Mapping[str, Look]:
    """One colour and marker a method, the same in every figure."""
    others = [name for name in dict.fromkeys(names) if name != STANDARD]
    chosen = {
        name: Look(COLOURS[i % len(COLOURS)], MARKERS[(i + i // len(COLOURS)) % len(MARKERS)])
        for i, name in enumerate(others)
    }
    return {STANDARD: Look(GREY, "o"), **chosen}


def rows_of(panels: int, longest: int) -> tuple[int, int]:
    """(columns, rows) that hold some panels in rows of about equal length."""
    rows = math.ceil(panels / longest)
    return math.ceil(panels / rows), rows


def wrapped(label: str, width: int = 30) -> str:
    """A label over several lines where it is long, broken between settings and after brackets."""
    lines = textwrap.wrap(label.replace("(", "( "), width, break_long_words=False)
    return "\n".join(lines).replace("( ", "(")


class Canvas:
    """A grid of axes; `svg` is set once the `drawing` block has ended."""

    figure: Figure
    axes: list[Axes]
    svg: str = ""

    def hide_after(self, panels: int) -> None:
        """Take away the axes that no panel was left for."""
        for axes in self.axes[panels:]:
            axes.set_visible(False)


@contextmanager
def drawing(
    width: float, height: float, columns: int, rows: int = 1, *, share_x: bool = False, share_y: bool = False
) -> Iterator[Canvas]:
    """Axes on a figure of width × height inches, styled; in the end an SVG that scales with the page."""
    canvas = Canvas()
    with matplotlib.rc_context(STYLE):
        canvas.figure = Figure(figsize=(width, height), layout="constrained")
        grid = canvas.figure.subplots(rows, columns, squeeze=False, sharex=share_x, sharey=share_y)
        canvas.axes = list(grid.flat)
        yield canvas
        canvas.svg = _inline(canvas.figure, round(96 * width))


def _inline(figure: Figure, width: int) -> str:
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Glyph .* missing"
        )  # text stays text, in the fonts of whoever reads it
        FigureCanvasSVG(figure).print_svg(buffer, metadata=nothing)  # `savefig` draws everything twice
    svg = buffer.getvalue()
    svg = re.sub("#[0-9a-f]{6}", lambda found: _named(found[0]), svg[svg.index("<svg") :])
    svg = _ALONE.sub("<g", svg)
    mark = hashlib.sha256(svg.encode()).hexdigest()[:8]
    svg = _MEANT.sub(lambda found: f"{found[1]}{mark}{found[2]}", svg)
    head = re.sub(r'\s(width|height)="[^"]*"', "", svg[: svg.index(">")])
    return f'{head} aria-hidden="true" style="--width: {width}px">{svg[svg.index(">") + 1 :]}'


#: Names that nothing refers to, and those that something does: as every figure has them, they are not the page's only ones.
_ALONE = re.compile(r'<g id="[^"]*"')
_MEANT = re.compile(r'(\bid="|href="#|url\(#)([a-z][0-9a-f]+)')


def _named(colour: str) -> str:
    return f"var(--{_NAMES[colour]})" if colour in _NAMES else colour
