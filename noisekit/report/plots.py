"""The figures of a report, each a function from tables to inline SVG; "" where there is nothing to draw."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from noisekit.report.figure import GREY, Look, drawing
from noisekit.report.source import TRUTH
from noisekit.report.tables import DAGGER, Line, number

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

WIDE = 10.6  # inches that fill the page


def differences(lines: Sequence[Line], metrics: Sequence[str], styles: Mapping[str, Look]) -> str:
    """Difference to standard with its 95 % interval, one panel a metric and one row a method; hollow if optimised."""
    others = [line for line in lines if not line.is_standard]
    shown = [m for m in metrics if any(not math.isnan(line.comparisons[m].difference) for line in others)]
    if not shown:
        return ""
    with drawing(WIDE, 0.95 + 0.36 * len(others), len(shown), share_y=True) as canvas:
        for axes, metric in zip(canvas.axes, shown, strict=True):
            axes.axvline(0, color=GREY, linewidth=1.2)
            for row, line in enumerate(others):
                one, style = line.comparisons[metric], styles[line.label]
                if not math.isnan(one.low):
                    axes.plot([one.low, one.high], [row, row], color=style.colour, linewidth=2)
                fill = "white" if one.optimised else style.colour
                axes.plot(one.difference, row, style.marker, color=style.colour, mfc=fill, mew=1.8, ms=7.5)
            axes.set_title(metric)
            axes.set_xlabel("difference to standard")
            axes.set_yticks(range(len(others)), [_wrapped(line.label) for line in others])
            axes.set_ylim(len(others) - 0.5, -0.5)
            axes.tick_params(axis="y", length=0, labelsize=10)
            axes.xaxis.set_major_locator(MaxNLocator(5))
    return canvas.svg


def cost(models: Mapping[str, Sequence[Line]], metric: str, styles: Mapping[str, Look]) -> str:
    """Mean of a metric against denoiser calls, one panel a model; bars are the interval of the difference."""
    shown = {m: lines for m, lines in models.items() if any(_drawable(line, metric) for line in lines)}
    if not shown:
        return ""
    height = 3.5 + 0.22 * max(math.ceil(len(lines) / 2) for lines in shown.values())
    with drawing(min(WIDE, 1 + 5.2 * len(shown)), height, len(shown), share_y=True) as canvas:
        for axes, (model, lines) in zip(canvas.axes, shown.items(), strict=True):
            drawn: list[float] = []
            for line in lines:
                if _drawable(line, metric):
                    beside = 1.05 ** drawn.count(line.calls)  # methods of equal cost stand side by side
                    _cost_point(axes, line, metric, styles[line.label], line.calls * beside)
                    drawn.append(line.calls)
            axes.set_title(model)
            axes.set_xscale("log")
            _plain_log_ticks(axes, drawn)
            axes.set_xlabel("denoiser calls per image")
            axes.margins(x=0.1, y=0.15)
            axes.legend(loc="upper left", bbox_to_anchor=(0, -0.17), ncols=2, borderaxespad=0)
        canvas.axes[0].set_ylabel(metric)
    return canvas.svg


def _drawable(line: Line, metric: str) -> bool:
    return line.calls > 0 and not math.isnan(line.comparisons[metric].mean)


def _cost_point(axes: Axes, line: Line, metric: str, style: Look, x: float) -> None:
    one = line.comparisons[metric]
    if not math.isnan(one.low):
        base = one.mean - one.difference
        axes.plot([x, x], [base + one.low, base + one.high], color=style.colour, linewidth=2)
    fill = "white" if one.optimised else style.colour
    label = line.label + (f" {DAGGER}" if one.optimised else "")
    axes.plot(x, one.mean, style.marker, color=style.colour, mfc=fill, mew=1.8, ms=8, label=_wrapped(label))
    if line.is_standard:
        axes.axhline(one.mean, color=GREY, linewidth=1, linestyle=(0, (4, 3)))


def _plain_log_ticks(axes: Axes, calls: Sequence[float]) -> None:
    low, high = min(calls), max(calls)
    steps = [m * 10.0**e for e in range(-1, 9) for m in (1, 2, 5)]
    ticks = [tick for tick in steps if low / 2 <= tick <= high * 2]
    every = max(1, math.ceil(len(ticks) / 7))
    axes.set_xticks(ticks[::every])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: number(x, 0 if x >= 1 else 1)))


def search(traces: pd.DataFrame, lines: Sequence[Line], styles: Mapping[str, Look]) -> str:
    """Best score so far by step on one model, mean over samples with a 95 % band, one panel a method."""
    curves = []
    for line in lines:
        own = _own(traces, line)
        if "best" in own and own["step"].nunique() > 1 and own["best"].notna().any():
            curves.append((line, own))
    if not curves:
        return ""
    rows = math.ceil(len(curves) / 4)
    columns = math.ceil(len(curves) / rows)
    with drawing(min(WIDE, 3.6 * columns), 2.6 * rows, columns, rows) as canvas:
        for axes, (line, own) in zip(canvas.axes, curves, strict=False):
            _band(axes, own, "best", styles[line.label])
            axes.set_title(_wrapped(line.label))
            axes.set_xlabel("step of the search")
            axes.set_ylabel(f"best {line.objective} so far")
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        for axes in canvas.axes[len(curves) :]:
            axes.set_visible(False)
    return canvas.svg


def gaming(traces: pd.DataFrame, line: Line, metrics: Sequence[str], styles: Mapping[str, Look]) -> str:
    """What the metrics say of the best image along one search: the objective first, then each metric."""
    own = _own(traces, line)
    shown = [m for m in metrics if f"metric_{m}" in own and own[f"metric_{m}"].notna().any()]
    checkpoints = (
        own.dropna(subset=[f"metric_{m}" for m in shown], how="all")["step"].nunique() if shown else 0
    )
    if checkpoints < 2:
        return ""
    columns = ["best", *(f"metric_{metric}" for metric in shown)]
    marks = {m: f" {DAGGER} (optimised)" if line.comparisons[m].optimised else " (held out)" for m in shown}
    titles = [f"{line.objective} (climbed)", *(metric + marks[metric] for metric in shown)]
    with drawing(min(WIDE, 2.65 * len(columns)), 2.6, len(columns)) as canvas:
        for axes, column, title in zip(canvas.axes, columns, titles, strict=True):
            _band(
                axes, own, column, styles[line.label], "" if column == "best" else styles[line.label].marker
            )
            if column == f"metric_{TRUTH}":  # a share, which the normal band may overshoot
                bottom, top = axes.get_ylim()
                axes.set_ylim(max(bottom, 0), min(top, 1))
            axes.set_title(title)
            axes.set_xlabel("step of the search")
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    return canvas.svg


def _wrapped(label: str) -> str:
    """A label over several lines where it is long, broken between settings."""
    return "\n".join(textwrap.wrap(label, 30, break_long_words=False))


def _own(traces: pd.DataFrame, line: Line) -> pd.DataFrame:
    return (
        traces[(traces["model"] == line.model) & (traces["method"] == line.method)] if len(traces) else traces
    )


def _band(axes: Axes, own: pd.DataFrame, column: str, style: Look, marker: str = "") -> None:
    """Mean over samples by step ± 1.96 standard errors, samples of one prompt averaged first."""
    by_prompt = own.dropna(subset=[column]).groupby(["step", "prompt"])[column].mean().astype(float)
    by_step = by_prompt.groupby("step")
    mean, spread, prompts = (by_step.agg(what).to_numpy(float) for what in ("mean", "std", "size"))
    reach = 1.96 * np.nan_to_num(spread) / np.sqrt(prompts)
    steps = by_step.size().index.to_numpy(float)
    axes.fill_between(steps, mean - reach, mean + reach, color=style.colour, alpha=0.16, lw=0)
    axes.plot(steps, mean, color=style.colour, linewidth=2, marker=marker or None, markersize=5)
