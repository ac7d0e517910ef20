"""A sheet of images for a paper: a row a prompt, a column a method, everything in a row from the same noise.

Whoever does not name the prompts gets them by the rule of the gallery, in turn a gain, a loss and a typical one, so that a
figure of three rows does not flatter.
"""

from __future__ import annotations

import io
import math
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from noisekit import registry
from noisekit.errors import BadValue, unknown
from noisekit.files import write_whole
from noisekit.output import output_file
from noisekit.report.figure import wrapped
from noisekit.report.first.cells import SMALL
from noisekit.report.first.telling import Reason, telling
from noisekit.report.pictures import read
from noisekit.report.source import ReportedRun
from noisekit.report.tables import Line, Ranking, ranking
from noisekit.shown import shown

if TYPE_CHECKING:
    import pandas as pd

#: Inches of a picture, and of the lines of text above and below the pictures.
SIDE, HEAD, FOOT = 1.5, 0.17, 0.16
#: Text stays text, in SVG and in PDF, and a prompt is no formula.
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "noisekit",
    "pdf.fonttype": 42,
    "text.parse_math": False,
    "font.size": 10,
    "axes.titley": 1.0,
    "text.color": "#1f2933",
}
#: Endings that a sheet is written as.
FORMATS = (".pdf", ".png", ".svg")


@dataclass(frozen=True)
class Row:
    """A prompt at a seed. reason: why the rule chose it, "" where it was asked for."""

    prompt: str
    seed: int
    reason: str


@dataclass(frozen=True)
class Sheet:
    """Which images stand where: rows x lines."""

    run: ReportedRun
    rows: Sequence[Row]
    lines: Sequence[Line]
    truth: str | None

    def image(self, dots: int = 200) -> Image.Image:
        """The sheet as a picture with so many dots an inch."""
        return Image.open(io.BytesIO(self._saved("png", dots))).convert("RGB")

    def write(self, path: str | Path, dots: int = 300) -> Path:
        """Write a .pdf or .svg, in which text stays text and images keep their pixels, or a .png. Raises `BadValue`."""
        target = output_file(path, FORMATS, "figure")
        try:
            write_whole(target, self._saved(target.suffix.lower()[1:], dots))
        except OSError as error:
            raise BadValue(
                f"figure {str(target)!r} cannot be written ({error.strerror or error}); give another path"
            ) from error
        return target

    def _saved(self, form: str, dots: int) -> bytes:
        buffer = io.BytesIO()
        with matplotlib.rc_context(STYLE), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # such letters show as boxes
            nothing = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[form]
            self._drawn().savefig(buffer, format=form, dpi=dots, metadata=nothing)
        return buffer.getvalue()

    def _drawn(self) -> Figure:
        heads = [wrapped(shown(line.label), 18) for line in self.lines]
        wide = SIDE * len(self.lines)
        feet = [textwrap.wrap(shown(row.prompt), max(24, int(13 * wide))) for row in self.rows]
        top = HEAD * max(head.count("\n") + 1 for head in heads) + 0.06
        heights = [SIDE + FOOT * len(foot) + 0.12 for foot in feet]
        tall = top + sum(heights)
        figure = Figure(figsize=(wide, tall), facecolor="white")
        for row, foot, height in zip(self.rows, feet, heights, strict=True):
            for place, line in enumerate(self.lines):
                corner, side = (place * SIDE + 0.03, tall - top - SIDE + 0.03), SIDE - 0.06
                axes = figure.add_axes((corner[0] / wide, corner[1] / tall, side / wide, side / tall))
                self._picture(axes, self._images.get((line.method, row.prompt, row.seed)))
                if row is self.rows[0]:
                    axes.set_title(heads[place], fontsize=8, fontweight="bold", loc="center", pad=3)
            figure.text(0.03 / wide, 1 - (top + SIDE + 0.02) / tall, "\n".join(foot), fontsize=8, va="top")
            top += height
        return figure

    @cached_property
    def _images(self) -> dict[tuple[str, str, int], Any]:
        frame = self.run.frame()
        own = frame[frame["model"] == self.lines[0].model].to_dict("records")
        return {(row["method"], row["prompt"], row["seed"]): row for row in own}

    def _picture(self, axes: Any, row: Any) -> None:
        axes.set(xticks=[], yticks=[])
        axes.grid(False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        image = read(row or None, self.run.folder)
        if image is None:
            axes.text(0.5, 0.5, "no image", ha="center", va="center", fontsize=8, transform=axes.transAxes)
            return
        axes.imshow(np.asarray(image), interpolation="nearest" if max(image.size) <= SMALL else "antialiased")
        said = math.nan if self.truth is None or row[self.truth] is None else float(row[self.truth])
        if not math.isnan(said):
            mark, colour = ("✓", "#0072b2") if said else ("✗", "#b34700")
            around = {"boxstyle": "circle,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.85}
            place = {"x": 0.95, "y": 0.05, "ha": "right", "va": "bottom", "transform": axes.transAxes}
            axes.text(s=mark, color=colour, fontsize=8, bbox=around, **place)


def sheet(
    run: ReportedRun,
    prompts: int | Sequence[str] = 3,
    methods: Sequence[str] | None = None,
    model: str | None = None,
    seed: int | None = None,
) -> Sheet:
    """Choose the images of a sheet.

    Args:
        run: What they are of.
        prompts: How many, by the rule of the gallery; or which.
        methods: By label, in full or by bare name; default: all, standard first.
        model: Needed where the run holds several.
        seed: Default: the one that shows what the prompt was chosen for, the first for prompts that were asked for.

    Raises:
        BadValue: The run lacks one of them, or holds several models and none was given.
    """
    ranked = ranking(run)
    name = _model(ranked, model)
    lines = (
        [_line(method, ranked.models[name]) for method in methods] if methods else list(ranked.models[name])
    )
    frame = run.frame()
    own = frame[frame["model"] == name]
    if seed is not None:
        own = own[own["seed"] == seed]
        if own.empty:
            known = ", ".join(map(str, sorted(set(frame["seed"]))))
            raise BadValue(f"the run has no seed {seed} on {name} (it has: {known})")
    if isinstance(prompts, int):
        rows = _chosen(run, own, lines, ranked, prompts)
    else:
        rows = [_asked(prompt, own) for prompt in prompts]
    if not rows:
        raise BadValue(
            f"a sheet of {prompts!r} prompts shows nothing; give 1 or more, or the prompts themselves"
        )
    return Sheet(run, rows, lines, ranked.truth)


def _model(ranked: Ranking, model: str | None) -> str:
    if model is None and len(ranked.models) > 1:
        raise BadValue(f"the run holds several models; choose one of {', '.join(ranked.models)}")
    if model is not None and model not in ranked.models:
        raise unknown("model of the run:", model, ranked.models)
    return model or next(iter(ranked.models))


def _line(method: str, lines: Sequence[Line]) -> Line:
    for line in lines:
        if method in (line.method, line.label):
            return line
    bare = [line for line in lines if registry.parse(line.arm.method).name == method]
    if len(bare) == 1:
        return bare[0]
    if bare:
        known = ", ".join(line.label for line in bare)
        raise BadValue(f"{method!r} is {len(bare)} methods of the run; give one of: {known}")
    raise unknown("method of the run:", method, [line.label for line in lines])


def _chosen(
    run: ReportedRun, own: pd.DataFrame, lines: Sequence[Line], ranked: Ranking, count: int
) -> list[Row]:
    """By the rule; where it finds too few, the first prompts of the run go after."""
    infos = {name: run.metric_info[name] for name in ranked.metrics}
    found = telling(own, lines, infos, math.ceil(count / 3))
    kinds = [[one for one in found if one.reason == reason] for reason in get_args(Reason)]
    turns = [one for one in chain.from_iterable(zip_longest(*kinds)) if one is not None]
    rows = [
        Row(one.prompt, one.seed, f"{one.reason} of {one.label}" if one.label else one.reason)
        for one in turns
    ]
    there = {row.prompt for row in rows}
    rows += [_asked(prompt, own) for prompt in dict.fromkeys(own["prompt"]) if prompt not in there]
    return rows[: max(0, count)]


def _asked(prompt: str, own: pd.DataFrame) -> Row:
    seeds = own.loc[own["prompt"] == prompt, "seed"]
    if seeds.empty:
        raise unknown("prompt of the run:", prompt, own["prompt"].unique())
    return Row(prompt, int(seeds.min()), "")
