"""Panels side by side as SVG that is written here: a report has dozens, and matplotlib takes a tenth of a second for each.

    x = start + (v − low) / (high − low) · (end − start)          and with logarithms of a logarithmic axis

Places are in pixels, colours the page's own, and whatever is written is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from noisekit.report.figure import MARKS, WIDE, Look, rows_of, wrapped
from noisekit.report.tables import number

LINE = 13  # pixels from one line of text to the next
DASHED = "4 3"
#: Beyond which a value is no place on an axis.
MOST = 1e300
#: Pixels left of a panel, right of it, above it and below it.
LEFT, RIGHT, HEAD, FOOT = 56, 14, 28, 46

Place = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """low is at `start`, high at `end`. marked: values that have ticks, instead of round ones."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    marked: tuple[float, ...] = ()

    @classmethod
    def around(
        cls,
        values: Iterable[float],
        start: float,
        end: float,
        within: tuple[float, float] = (-math.inf, math.inf),
    ) -> Axis:
        """Linear, over the known values with a margin, and no further than `within`."""
        known = [value for value in values if math.isfinite(value) and abs(value) < MOST] or [0.0]
        low, high = min(known), max(known)
        apart = high - low > max(1e-9 * max(abs(low), abs(high)), 1 / MOST)
        margin = 0.08 * (high - low) if apart else 0.05 * abs(high) or 0.5
        ends = max(low - margin, within[0]), min(high + margin, within[1])
        if ends[0] >= ends[1]:  # all of them lie beyond what they are said to lie in
            ends = low - margin, high + margin
        return cls(*ends, start, end)

    def at(self, value: float) -> float:
        kept = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(kept / self.low) / math.log(self.high / self.low)
        else:
            share = (kept - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, most: int = 5) -> list[tuple[float, str]]:
        """Places and texts of round values: of a logarithmic axis 1, 2, 5, 10, 20 …"""
        if self.marked:
            return [(self.at(v), f"{v:g}".replace("-", "−")) for v in self.marked]
        if self.log:
            steps = [m * 10.0**e for e in range(-6, 10) for m in (1, 2, 5)]
            shown = [step for step in steps if self.low <= step <= self.high]
            shown = shown[:: max(1, math.ceil(len(shown) / most))]
            return [(self.at(v), number(v, max(0, math.ceil(-math.log10(v) - 1e-9)))) for v in shown]
        scale = 10.0 ** math.floor(math.log10((self.high - self.low) / most))
        step = next(m * scale for m in (1, 2, 2.5, 5, 10) if m * scale * most >= self.high - self.low)
        inside = [n * step for n in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]
        places = next(
            (n for n in range(6) if math.isclose(step * 10**n, round(step * 10**n), rel_tol=1e-6)), 6
        )
        return [(self.at(v), number(v, places)) for v in inside]


@dataclass(frozen=True)
class Grid:
    """Panels of one size in rows of `columns`; head: pixels above each, for its title."""

    columns: int
    rows: int
    width: float
    height: float
    head: float = HEAD

    @classmethod
    def of(cls, titles: Sequence[str], longest: int, width: float, height: float) -> Grid:
        """For panels of these titles, `longest` in a row at most, with room for their lines."""
        lines = max(title.count("\n") for title in titles)
        return cls(*rows_of(len(titles), longest), width, height + LINE * lines, HEAD + LINE * lines)

    def across(self, place: int) -> Place:
        """Where the x axis of a panel starts and ends."""
        left = self.width * (place % self.columns)
        return left + LEFT, left + self.width - RIGHT

    def up(self, place: int) -> Place:
        """Where its y axis starts, at the bottom, and ends."""
        top = self.height * (place // self.columns)
        return top + self.height - FOOT, top + self.head

    def svg(self, parts: Iterable[str], below: float = 0) -> str:
        """The panels as one picture, with room for what stands below them."""
        return svg(parts, self.width * self.columns, self.height * self.rows + below)


@dataclass(frozen=True)
class Panel:
    """A frame of axes, x from left to right and y from the bottom up, under a title."""

    x: Axis
    y: Axis

    def framed(self, title: str, x_label: str, y_label: str = "", *, rows: bool = True) -> list[str]:
        """Title, over several lines where it has them, grid and ticks; rows: also along y."""
        bottom, top = self.y.start, self.y.end
        drawn = lines_of(self.x.start, top - 8, title, "start", "fill: var(--ink); font-weight: 700")
        if y_label:
            x, y = self.x.start - 42, (bottom + top) / 2
            drawn += [f'<g transform="rotate(-90 {x:g} {y:g})">{text(x, y, y_label)}</g>']
        for x, label in self.x.ticks():
            drawn += [line((x, bottom), (x, top), "grid"), text(x, bottom + LINE + 2, label)]
        for y, label in self.y.ticks() if rows else ():
            drawn += [line((self.x.start, y), (self.x.end, y), "grid")]
            drawn += [text(self.x.start - 5, y + 4, label, "end")]
        middle = (self.x.start + self.x.end) / 2
        drawn += [line((self.x.start, bottom), (self.x.end, bottom), "axis")]
        return [*drawn, text(middle, bottom + 2 * LINE + 5, x_label)]


def svg(parts: Iterable[str], width: float, height: float) -> str:
    """The parts as one picture that scales with the page."""
    head = f'<svg viewBox="0 0 {width:g} {height:g}" aria-hidden="true" style="--width: {width:g}px">'
    return f"{head}{''.join(parts)}</svg>"


def text(x: float, y: float, content: str, anchor: str = "middle", style: str = "fill: var(--tick)") -> str:
    place = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="12" style="{style}"'
    return f"<text {place}>{escape(content)}</text>"


def lines_of(x: float, y: float, content: str, anchor: str, style: str) -> list[str]:
    """The lines of a text, the last at y."""
    lines = content.split("\n")
    return [
        text(x, y - LINE * (len(lines) - 1 - n), one, anchor, style) for n, one in enumerate(lines) if one
    ]


def line(one: Place, other: Place, colour: str, width: float = 1, dash: str = "none") -> str:
    """A straight line in one of the page's colours."""
    ends = f'x1="{one[0]:g}" y1="{one[1]:g}" x2="{other[0]:g}" y2="{other[1]:g}"'
    return (
        f'<line {ends} style="stroke: var(--{colour}); stroke-width: {width:g}; stroke-dasharray: {dash}"/>'
    )


def mark(x: float, y: float, look: Look, *, hollow: bool = False, size: float = 1) -> str:
    """A method's mark."""
    fill = "var(--back)" if hollow else look.css
    style = f"stroke: {look.css}; fill: {fill}; stroke-width: 1.8"
    return (
        f'<path transform="translate({x:g},{y:g}) scale({size:g})" d="{MARKS[look.marker]}" style="{style}"/>'
    )


def curve(points: Sequence[Place], colour: str, width: float = 2, dash: str = "none") -> str:
    style = f"fill: none; stroke: var(--{colour}); stroke-width: {width:g}; stroke-dasharray: {dash}"
    return f'<polyline points="{_joined(points)}" style="{style}"/>'


def legend(entries: Mapping[str, Look | None], top: float, columns: int = 3) -> tuple[list[str], float]:
    """Marks and what they stand for, in columns below `top`, None for a dashed line; and how high they are."""
    drawn, y, tallest = [], top, 0
    for place, (label, look) in enumerate(entries.items()):
        column = place % columns
        if not column:
            y, tallest = y + LINE * tallest + 8 * bool(place), 0
        lines, x = wrapped(label).split("\n"), WIDE / columns * column + 14
        tallest = max(tallest, len(lines))
        ends = (x - 10, y + 8), (x + 10, y + 8)
        if look is None:
            drawn.append(line(*ends, "ink", 1, DASHED))
        else:
            drawn += [line(*ends, look.colour, 2), mark(x, y + 8, look)]
        drawn += [text(x + 16, y + 12 + LINE * n, one, "start") for n, one in enumerate(lines)]
    return drawn, y + LINE * tallest + 8 - top


def band(lower: Sequence[Place], upper: Sequence[Place], look: Look) -> str:
    """What lies between two curves."""
    points = _joined([*lower, *reversed(upper)])
    return f'<polygon points="{points}" style="fill: {look.css}; fill-opacity: .16"/>'


def _joined(points: Sequence[Place]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)
