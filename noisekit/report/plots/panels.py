"""Panels side by side as SVG that is written here: a report has dozens, and matplotlib takes a tenth of a second for each.

    x = start + (v − low) / (high − low) · (end − start)          and with logarithms of a logarithmic axis

Places are in pixels, colours the page's own, and whatever is written is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from matplotlib.ticker import MaxNLocator

from noisekit.report.figure import MARKS, Look
from noisekit.report.tables import number

LINE = 13  # pixels from one line of text to the next


@dataclass(frozen=True)
class Axis:
    """low is at `start`, high at `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def around(
        cls,
        values: Iterable[float],
        start: float,
        end: float,
        within: tuple[float, float] = (-math.inf, math.inf),
    ) -> Axis:
        """Linear, over the known values with a margin, and no further than `within`."""
        known = [value for value in values if not math.isnan(value)]
        low, high = min(known), max(known)
        margin = 0.08 * (high - low) or 0.05 * abs(high) or 0.5
        return cls(max(low - margin, within[0]), min(high + margin, within[1]), start, end)

    def at(self, value: float) -> float:
        kept = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(kept / self.low) / math.log(self.high / self.low)
        else:
            share = (kept - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, most: int = 5) -> list[tuple[float, str]]:
        """Places and texts of round values: of a logarithmic axis 1, 2, 5, 10, 20 …"""
        if self.log:
            steps = [m * 10.0**e for e in range(-6, 10) for m in (1, 2, 5)]
            shown = [step for step in steps if self.low <= step <= self.high]
            shown = shown[:: max(1, math.ceil(len(shown) / most))]
            return [(self.at(v), number(v, max(0, math.ceil(-math.log10(v) - 1e-9)))) for v in shown]
        found = [float(v) for v in MaxNLocator(most).tick_values(self.low, self.high)]
        inside = [v for v in found if self.low <= v <= self.high]
        step = min((b - a for a, b in pairwise(found)), default=1.0)
        places = next(
            (n for n in range(6) if math.isclose(step * 10**n, round(step * 10**n), rel_tol=1e-6)), 6
        )
        return [(self.at(v), number(v, places)) for v in inside]


@dataclass(frozen=True)
class Panel:
    """A frame of axes, x from left to right and y from the bottom up, under a title."""

    x: Axis
    y: Axis

    def framed(self, title: str, x_label: str, *, rows: bool = True) -> list[str]:
        """Title, grid and ticks; rows: also along y."""
        bottom, top = self.y.start, self.y.end
        drawn = [text(self.x.start, top - 8, title, "start", "fill: var(--ink); font-weight: 700")]
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


def line(one: tuple[float, float], other: tuple[float, float], colour: str, width: float = 1) -> str:
    """A straight line in one of the page's colours."""
    ends = f'x1="{one[0]:g}" y1="{one[1]:g}" x2="{other[0]:g}" y2="{other[1]:g}"'
    return f'<line {ends} style="stroke: var(--{colour}); stroke-width: {width:g}"/>'


def bar(one: tuple[float, float], other: tuple[float, float], look: Look) -> str:
    """An interval, in the colour of a method."""
    ends = f'x1="{one[0]:g}" y1="{one[1]:g}" x2="{other[0]:g}" y2="{other[1]:g}"'
    return f'<line {ends} style="stroke: {look.css}; stroke-width: 2"/>'


def mark(x: float, y: float, look: Look, *, hollow: bool = False, size: float = 1) -> str:
    """A method's mark."""
    fill = "var(--back)" if hollow else look.css
    style = f"stroke: {look.css}; fill: {fill}; stroke-width: 1.8"
    return (
        f'<path transform="translate({x:g},{y:g}) scale({size:g})" d="{MARKS[look.marker]}" style="{style}"/>'
    )


def curve(points: Sequence[tuple[float, float]], look: Look) -> str:
    return f'<polyline points="{_joined(points)}" style="fill: none; stroke: {look.css}; stroke-width: 2"/>'


def band(lower: Sequence[tuple[float, float]], upper: Sequence[tuple[float, float]], look: Look) -> str:
    """What lies between two curves."""
    points = _joined([*lower, *reversed(upper)])
    return f'<polygon points="{points}" style="fill: {look.css}; fill-opacity: .16"/>'


def _joined(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)
