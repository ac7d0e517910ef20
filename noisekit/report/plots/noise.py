"""What methods did to the noise: what is left of the initial one at each frequency, the spectrum, the singular vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from noisekit.evaluation.noise_analysis import NoiseAnalysis
from noisekit.report.figure import WIDE, Look
from noisekit.report.plots import panels
from noisekit.report.tables import Line

if TYPE_CHECKING:
    import pandas as pd

FREQUENCY = "frequency, cycles per latent pixel"
#: Axes of what lies between 0 and 1.
SHARE = (-0.04, 1.06)


def noise(analysis: NoiseAnalysis, lines: Sequence[Line], styles: Mapping[str, Look]) -> str:
    """Three panels for one model: coherence and power by frequency, and singular vectors by index; one curve a method.

    Dashed is where unrelated noises would lie.
    """
    others = [line for line in lines if not line.is_standard]
    rings = {line.label: own for line in others if len(own := _own(analysis.frequencies, line))}
    if not rings:
        return ""
    powers = {
        label: own.assign(power=own["found"] / own["initial"], chance=1) for label, own in rings.items()
    }
    vectors = {
        line.label: own.assign(place=own["index"] + 1)
        for line in others
        if len(own := _own(analysis.vectors, line))
    }
    power = [value for own in powers.values() for value in own["power"]]
    figures = [
        ("coherence with the initial noise", rings, "frequency", "coherence", FREQUENCY),
        ("power, found / initial", powers, "frequency", "power", FREQUENCY),
        ("singular vectors, |cos|", vectors, "place", "similarity", "singular vector, the largest first"),
    ]
    grid = panels.Grid.of([title for title, *_ in figures], 3, WIDE / 3, 300)
    drawn = []
    for place, (title, tables, across, column, what) in enumerate(figures):
        x = panels.Axis.around([v for own in tables.values() for v in own[across]], *grid.across(place))
        up = grid.up(place)
        y = panels.Axis.around([*power, 1], *up) if column == "power" else panels.Axis(*SHARE, *up)
        drawn += panels.Panel(x, y).framed(title, what)
        for label, own in tables.items():
            points = [(x.at(one), y.at(other)) for one, other in zip(own[across], own[column], strict=True)]
            drawn.append(panels.curve(points, styles[label].colour, 1.6))
            drawn += [panels.mark(*at, styles[label], size=0.8) for at in points]
        chance = [(x.at(one), y.at(other)) for one, other in zip(own[across], own["chance"], strict=True)]
        drawn.append(panels.curve(chance, "ink", 1, panels.DASHED))
    below, high = panels.legend({label: styles[label] for label in rings} | {"by chance": None}, grid.height)
    return grid.svg([*drawn, *below], high)


def _own(table: pd.DataFrame, line: Line) -> pd.DataFrame:
    return table[(table["model"] == line.model) & (table["method"] == line.method)]
