"""One cell of the gallery: the picture that a method made, and what it changed in each metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from PIL import Image, ImageSequence

from noisekit.inline import data_uri, thumbnail
from noisekit.paths import path_within
from noisekit.pictures import check_size
from noisekit.report.pictures import read
from noisekit.report.tables import Line, number, signed

if TYPE_CHECKING:
    from noisekit.metrics.info import MetricInfo

#: Pictures of at most so many pixels are shown in large pixels.
SMALL = 96
#: Frames of an animation that a page plays.
MOST_FRAMES = 64


@dataclass(frozen=True)
class Picture:
    """How one image is drawn: as a thumbnail inside the page, with the file that it links to; "" where it cannot be read.

    Frames play. small: shown in large pixels.
    """

    source: str = ""
    file: str = ""
    small: bool = False


@dataclass(frozen=True)
class Change:
    """A metric of an image, and its difference to the standard image; direction 1, 0 or −1, by the metric's tie.

    text: "+0.12" beside standard, the score itself of the standard image.
    """

    metric: str
    text: str
    direction: int
    optimised: bool

    @property
    def verdict(self) -> str:
        return {1: "better", -1: "worse"}.get(self.direction, "")


@dataclass(frozen=True)
class PictureCell:
    """The image of one method. fulfilled: the ground truth, None where there is none. alternative: for screen readers."""

    label: str
    is_standard: bool
    picture: Picture
    fulfilled: bool | None
    changes: Sequence[Change]
    alternative: str


def picture(name: Any, folder: Path, most: int) -> Picture:
    """An image of a run, by its path there, as a thumbnail of `most` bytes or fewer: the one place that draws it."""
    image = read({"image": name}, folder)
    if image is None:
        return Picture()
    frames = [image]
    film = str(PurePosixPath(name).with_suffix(".webp"))
    if playing := _film(folder, film):
        name, frames = film, playing
    source = data_uri(thumbnail(frames, most), "image/webp")
    return Picture(source, quote(name), max(frames[0].size) <= SMALL)


def _film(folder: Path, name: str) -> list[Image.Image]:
    """The frames of the animation that lies beside a stored contact sheet; none where there is none that reads."""
    try:
        with Image.open(path_within(folder, name), formats=["WEBP"]) as file:
            check_size(file.size)
            return [frame.convert("RGB") for frame in islice(ImageSequence.Iterator(file), MOST_FRAMES)]
    except Exception:  # decoders raise whatever they stumble over, and the sheet shows the same
        return []


def cell(
    line: Line,
    row: Mapping[Any, Any] | None,
    standard: Mapping[Any, Any] | None,
    drawn: Picture,
    infos: Mapping[str, MetricInfo],
    truth: str | None,
) -> PictureCell:
    """A method's cell: row, standard: its image and the standard one in the run's frame, None where there is none."""
    if row is None:
        return PictureCell(line.label, line.is_standard, drawn, None, (), f"{line.label}: no image")
    changes = [_change(line, row, standard, info) for name, info in infos.items() if name != truth]
    said = math.nan if truth is None else float(row[truth])
    fulfilled = None if math.isnan(said) else bool(said)
    words = {True: ", fulfils its prompt", False: ", does not fulfil its prompt", None: ""}[fulfilled]
    alternative = f"{line.label}: {row['prompt']}, seed {int(row['seed'])}{words}"
    known = [change for change in changes if change is not None]
    return PictureCell(line.label, line.is_standard, drawn, fulfilled, known, alternative)


def _change(
    line: Line, row: Mapping[Any, Any], standard: Mapping[Any, Any] | None, info: MetricInfo
) -> Change | None:
    own = line.comparisons[info.name]
    score = _score(row, info.name)
    if line.is_standard:
        return None if math.isnan(score) else Change(info.name, number(score, own.decimals), 0, False)
    d = score - (math.nan if standard is None else _score(standard, info.name))
    if math.isnan(d):
        return None
    direction = 0 if abs(d) <= info.tie else 1 if d > 0 else -1
    return Change(info.name, signed(d, own.decimals), direction, own.optimised)


def _score(row: Mapping[Any, Any], metric: str) -> float:
    value = row[metric]
    return math.nan if value is None else float(value)
