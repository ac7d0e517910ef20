"""The frontier as one picture: what every method brings of a metric, by what its image costs.

The picture is SVG of its own, in the colours of the report's light page, so that a README and a site can show it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files

import pandas as pd

from noisekit.report.figure import Look, looks
from noisekit.report.plots.panels import LINE, Axis, Panel, curve, line, mark, svg, text

WIDTH, PLOT, LEFT, TOP = 780, 400, 56, 34
#: Of the legend, and the height of a row of it.
COLUMNS, ROW = 3, 18
#: The page's colours on a light screen, which a picture alone has to say.
STYLE = (files("noisekit.report") / "colours.css").read_text(encoding="utf-8")
NAMED = dict(re.findall(r"--(\w+): (#[0-9a-f]+)", STYLE[: STYLE.index("@media")]))


def chart(table: pd.DataFrame, model: str, metric: str) -> str:
    """One curve a method over its budgets: columns name, equivalents, and the metric's difference, low and high."""
    groups = [
        (str(name), rows.sort_values("equivalents")) for name, rows in table.groupby("name", sort=False)
    ]
    look, ends = looks([name for name, _ in groups]), [f"{metric}_{end}" for end in ("low", "high")]
    x = Axis(table["equivalents"].min() / 1.3, 1.15 * table["equivalents"].max(), LEFT, WIDTH - 12, log=True)
    y = Axis.around([0.0, *table[ends].to_numpy().ravel()], TOP + PLOT, TOP)
    parts = Panel(x, y).framed(f"{metric} over standard on {model}", "denoiser equivalents per image")
    parts.append(line((LEFT, y.at(0)), (WIDTH - 12, y.at(0)), "grey", 1.5))
    for number, (name, rows) in enumerate(groups):
        beside = 1 + 0.01 * (number % 7 - 3)  # intervals at one budget would lie on each other
        places = [x.at(cost * beside) for cost in rows["equivalents"]]
        points = list(zip(places, map(y.at, rows[f"{metric}_difference"]), strict=True))
        bars = [
            line((place, y.at(low)), (place, y.at(high)), look[name].colour, 2)
            for place, (low, high) in zip(places, rows[ends].to_numpy(), strict=True)
            if low == low
        ]
        parts.append(f'<g opacity=".35">{"".join(bars)}</g>')
        parts += [curve(points, look[name].colour), *(mark(*point, look[name]) for point in points)]
    parts += _legend([name for name, _ in groups], look)
    return _alone(svg(parts, WIDTH, _below() + ROW * -(-len(groups) // COLUMNS)))


def _below() -> int:
    """Where the legend begins."""
    return TOP + PLOT + 4 * LINE


def _legend(names: Sequence[str], look: Mapping[str, Look]) -> Iterator[str]:
    wide = (WIDTH - LEFT) / COLUMNS
    for number, name in enumerate(names):
        left, middle = LEFT + wide * (number % COLUMNS), _below() + ROW * (number // COLUMNS)
        yield mark(left, middle, look[name], size=0.9)
        yield text(left + 12, middle + 4, name, "start")


def _alone(picture: str) -> str:
    """A picture of the page as a file: with its colours, its letters and a ground."""
    plain = re.sub(r"var\(--(\w+)\)", lambda found: NAMED[found[1]], picture)
    head = '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif"'
    ground = f'<rect width="100%" height="100%" fill="{NAMED["back"]}"/>'
    start = plain.index(">") + 1
    return f"{head}{plain[len('<svg') : start]}{ground}{plain[start:]}\n"
