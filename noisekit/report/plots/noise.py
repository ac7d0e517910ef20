"""What methods did to the noise: what is left of the initial one at each frequency, the spectrum, the singular vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from noisekit.evaluation.noise_analysis import NoiseAnalysis
from noisekit.report.figure import GREY, INK, WIDE, Look, drawing, wrapped
from noisekit.report.tables import Line

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

DASHED = (0, (4, 3))


def noise(analysis: NoiseAnalysis, lines: Sequence[Line], styles: Mapping[str, Look]) -> str:
    """Three panels for one model: coherence and power by frequency, and singular vectors by index; one curve a method."""
    shown = [line for line in lines if not line.is_standard and len(_own(analysis.frequencies, line))]
    if not shown:
        return ""
    legend = 0.22 * sum(1 + wrapped(line.label).count("\n") for line in shown) / 3 + 0.3
    with drawing(WIDE, 3.2 + legend, 3) as canvas:
        coherence, power, vectors = canvas.axes
        for line in shown:
            rings, indices = _own(analysis.frequencies, line), _own(analysis.vectors, line)
            style, label = styles[line.label], wrapped(line.label)
            _curve(coherence, rings["frequency"], rings["coherence"], style, label)
            _curve(power, rings["frequency"], rings["found"] / rings["initial"], style, label)
            _curve(vectors, indices["index"] + 1, indices["similarity"], style, label)
        _chance(coherence, rings["frequency"], rings["chance"])
        _chance(vectors, indices["index"] + 1, indices["chance"])
        power.axhline(1, color=GREY, linewidth=1, linestyle=DASHED)
        coherence.set_title("coherence with the initial noise")
        power.set_title("power, found / initial")
        vectors.set_title("singular vectors, |cos|")
        for axes in (coherence, power):
            axes.set_xlabel("frequency, cycles per latent pixel")
        vectors.set_xlabel("singular vector, the largest first")
        for axes in (coherence, vectors):
            axes.set_ylim(-0.04, 1.06)
        handles = coherence.get_legend_handles_labels()[0]
        canvas.figure.legend(handles=handles, loc="outside lower left", ncols=3)
    return canvas.svg


def _curve(axes: Axes, x: pd.Series, y: pd.Series, style: Look, label: str) -> None:
    axes.plot(x, y, color=style.colour, marker=style.marker, markersize=5, linewidth=1.6, label=label)


def _chance(axes: Axes, x: pd.Series, y: pd.Series) -> None:
    """Where unrelated noises would lie."""
    axes.plot(x, y, color=INK, linewidth=1, linestyle=DASHED, label="by chance")


def _own(table: pd.DataFrame, line: Line) -> pd.DataFrame:
    return table[(table["model"] == line.model) & (table["method"] == line.method)]
