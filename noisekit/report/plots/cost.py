"""Quality against cost, and its Pareto front.

a method is on the front  ⇔  no other is as good for less, nor better for as much
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from noisekit.report.figure import GREY, INK, WIDE, Look, drawing, wrapped
from noisekit.report.paths import Path
from noisekit.report.tables import DAGGER, Line, number

#: What is paid for an image: the label of the axis, and how to read it from a line.
COSTS: Mapping[str, Callable[[Line], float]] = {
    "denoiser calls per image": lambda line: line.calls,
    "denoiser equivalents per image": lambda line: line.equivalents,
    "seconds per image": lambda line: line.seconds,
}
#: Which of them is drawn first: operations of all networks, where every method's are known.
FAIREST = ("denoiser equivalents per image", "denoiser calls per image")
#: The logarithm of two costs' ratio below which their points would cover each other.
CLOSE = 0.08


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which of some (cost, quality) no other dominates, from cheap to dear; of equal points all."""
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1]))
    best, chosen = (math.nan, -math.inf), list[int]()
    for i in order:
        if points[i][1] > best[1] or points[i] == best:
            best = points[i]
            chosen.append(i)
    return chosen


def cost(
    lines: Sequence[Line],
    metrics: Sequence[str],
    styles: Mapping[str, Look],
    paths: Mapping[tuple[str, str, str], Path],
) -> str:
    """Means on one model against denoiser equivalents, or calls, and against seconds, a row of two panels a metric.

    Methods that optimised the metric are marked and do not count for its front. paths: what searches had on their way, by
    model, method and metric; thin lines that end in the method's point.
    """
    metrics = [m for m in metrics if any(not math.isnan(line.comparisons[m].mean) for line in lines)]
    if not metrics:
        return ""
    legend = 0.22 * sum(1 + wrapped(line.label).count("\n") for line in lines) / 3 + 0.3
    with drawing(WIDE, 3.1 * len(metrics) + legend, 2, len(metrics)) as canvas:
        fairest = next(
            (paid for paid in FAIREST if all(COSTS[paid](line) > 0 for line in lines)), FAIREST[-1]
        )
        panels = [(metric, paid) for metric in metrics for paid in (fairest, "seconds per image")]
        for axes, (metric, paid) in zip(canvas.axes, panels, strict=True):
            _panel(axes, [line for line in lines if COSTS[paid](line) > 0], metric, paid, styles)
            for line in lines:
                _path(axes, paths.get((line.model, line.method, metric), ()), paid, styles[line.label])
        entries: dict[str, Artist] = {}
        for axes in canvas.axes:
            entries |= {str(handle.get_label()): handle for handle in axes.get_legend_handles_labels()[0]}
        names = [wrapped(label) for label in entries]
        canvas.figure.legend(list(entries.values()), names, loc="outside lower left", ncols=3)
    return canvas.svg


def on_front(lines: Sequence[Line], metric: str, price: Callable[[Line], float]) -> list[Line]:
    """The methods on the Pareto front of a metric, from cheap to dear; those that optimised it are not asked."""
    fair = [
        line
        for line in lines
        if not line.comparisons[metric].optimised and not math.isnan(line.comparisons[metric].mean)
    ]
    return [fair[i] for i in front([(price(line), line.comparisons[metric].mean) for line in fair])]


def _panel(axes: Axes, lines: Sequence[Line], metric: str, paid: str, styles: Mapping[str, Look]) -> None:
    price = COSTS[paid]
    shown = [line for line in lines if not math.isnan(line.comparisons[metric].mean)]
    chosen = on_front(shown, metric, price)
    prices: list[float] = []
    for line in shown:
        near = [paid for paid in prices if abs(math.log(paid / price(line))) < CLOSE]
        beside = price(line) * math.exp(CLOSE * len(near))  # methods of about equal cost stand side by side
        _point(axes, line, metric, beside, styles[line.label], line in chosen)
        prices.append(price(line))
    axes.set_xscale("log")
    if prices:
        _plain_log_ticks(axes, prices)
        right = max(prices) * 1.6
        steps = [(price(line), line.comparisons[metric].mean) for line in chosen]
        if steps:
            axes.step(
                *zip(*steps, (right, steps[-1][1]), strict=True),
                where="post",
                color=INK,
                linewidth=1.1,
                zorder=1.5,
                label="Pareto front",
            )
        axes.set_xlim(min(prices) / 1.6, right)
    axes.set_title(metric)
    axes.set_xlabel(paid)
    axes.margins(y=0.12)


def _point(axes: Axes, line: Line, metric: str, x: float, style: Look, on_front: bool) -> None:
    one = line.comparisons[metric]
    alpha = 1.0 if on_front else 0.45
    if not math.isnan(one.low):
        base = one.mean - one.difference
        axes.plot([x, x], [base + one.low, base + one.high], color=style.colour, linewidth=2, alpha=alpha)
    label = line.label + (f" {DAGGER}" if one.optimised else "")
    axes.plot(
        x,
        one.mean,
        style.marker,
        linestyle="none",
        color=style.colour,
        mfc=style.colour if on_front else "white",
        mew=1.8,
        ms=8,
        label=label,
        alpha=alpha,
    )
    if line.is_standard:
        axes.axhline(one.mean, color=GREY, linewidth=1, linestyle=(0, (4, 3)))


def _path(axes: Axes, path: Path, paid: str, style: Look) -> None:
    place = list(COSTS).index(paid)
    points = [(point[place], point[-1]) for point in path if point[place] > 0]
    if points:
        x, y = zip(*points, strict=True)
        axes.plot(x, y, color=style.colour, linewidth=1, marker=".", markersize=4, alpha=0.7, zorder=1.8)
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, min(x) / 1.6), high)


def _plain_log_ticks(axes: Axes, values: Sequence[float]) -> None:
    low, high = min(values), max(values)
    steps = [m * 10.0**e for e in range(-5, 9) for m in (1, 2, 5)]
    ticks = [tick for tick in steps if low / 1.6 <= tick <= high * 1.6]
    every = max(1, math.ceil(len(ticks) / 6))
    axes.set_xticks(ticks[::every])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda x, _: number(x, max(0, math.ceil(-math.log10(x) - 1e-9))))
    )
