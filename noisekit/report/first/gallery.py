"""The gallery: for each prompt and seed the standard image and every method's, from the same noise.

What tells most comes first (see `telling`), then everything else in the order of the run, up to `MOST_PICTURES`. All
thumbnails together take `SPACE` bytes at most, so that the page stays one that can be sent; they link to the images where
they lie, in the run's folder.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from noisekit.evaluation.categories import categories
from noisekit.inline import MOST
from noisekit.report.first.cells import Picture, PictureCell, cell, picture
from noisekit.report.first.telling import EACH, Reason, telling
from noisekit.report.source import STANDARD, ReportedRun
from noisekit.report.tables import Ranking
from noisekit.shown import shown

if TYPE_CHECKING:
    import pandas as pd

#: Images beyond which a page shows the first so many.
MOST_PICTURES = 2_400
#: Bytes of all thumbnails together; as text they take a third more.
SPACE = 7_500_000


@dataclass(frozen=True)
class Scene:
    """One prompt at one seed on one model. reason: why it is shown first, None for the others; of: the method it is for."""

    model: str
    prompt: str
    seed: int
    categories: tuple[str, ...]
    reason: Reason | None
    of: str
    cells: Sequence[PictureCell]


@dataclass(frozen=True)
class Gallery:
    """telling, others: what is shown first, and the rest. left_out: images that the page has no place for.

    models, methods, seeds, categories: what the scenes can be filtered by. truth: the metric that is the ground truth.
    """

    telling: Sequence[Scene]
    others: Sequence[Scene]
    left_out: int
    truth: str | None

    @property
    def scenes(self) -> list[Scene]:
        return [*self.telling, *self.others]

    @property
    def models(self) -> list[str]:
        return list(dict.fromkeys(scene.model for scene in self.scenes))

    @property
    def methods(self) -> list[str]:
        return list(dict.fromkeys(cell.label for scene in self.scenes for cell in scene.cells))

    @property
    def seeds(self) -> list[int]:
        return sorted({scene.seed for scene in self.scenes})

    @property
    def categories(self) -> list[str]:
        return list(dict.fromkeys(name for scene in self.scenes for name in scene.categories))


@dataclass(frozen=True)
class _Place:
    """A scene before its pictures are read."""

    model: str
    prompt: str
    seed: int
    reason: Reason | None
    of: str


def gallery(run: ReportedRun, ranked: Ranking, each: int = EACH, *, all_scenes: bool = True) -> Gallery:
    """The images of a run, what tells most first, `each` of a kind a model; then, if all_scenes, the others."""
    frame = run.frame()
    rows = {(r["model"], r["prompt"], r["seed"], r["method"]): r for r in frame.to_dict("records")}
    infos = {name: run.metric_info[name] for name in ranked.metrics}
    first = list(_telling(frame, ranked, infos, each))
    first_keys = {(place.model, place.prompt, place.seed) for place in first}
    rest = [
        place for place in _all(frame, ranked) if (place.model, place.prompt, place.seed) not in first_keys
    ]
    places, left_out = _within(first + (rest if all_scenes else []), ranked)
    wanted = [
        rows.get((place.model, place.prompt, place.seed, line.method))
        for place in places
        for line in ranked.models[place.model]
    ]
    drawn = iter(_drawn([row and row["image"] for row in wanted], run))
    named = dict(zip(zip(frame["model"], frame["prompt"], strict=True), categories(frame), strict=True))
    scenes = []
    for place in places:
        lines, key = ranked.models[place.model], (place.model, place.prompt, place.seed)
        standard = rows.get((*key, STANDARD))
        cells = [
            cell(line, rows.get((*key, line.method)), standard, next(drawn), infos, ranked.truth)
            for line in lines
        ]
        about = tuple(map(shown, named[place.model, place.prompt]))
        scenes.append(Scene(*key, about, place.reason, place.of, cells))
    return Gallery(scenes[: len(first)], scenes[len(first) :], left_out, ranked.truth)


def _telling(frame: pd.DataFrame, ranked: Ranking, infos: Mapping[str, Any], each: int) -> Iterator[_Place]:
    """In turn a gain, a loss and a typical one of each model, so that what is seen first does not flatter."""
    turns: dict[int, list[_Place]] = {}
    for model, lines in ranked.models.items():
        of_reason = Counter[Reason]()
        for one in telling(frame[frame["model"] == model], lines, infos, each):
            place = _Place(model, one.prompt, one.seed, one.reason, one.label)
            turns.setdefault(of_reason[one.reason], []).append(place)
            of_reason[one.reason] += 1
    for turn in sorted(turns):
        yield from turns[turn]


def _all(frame: pd.DataFrame, ranked: Ranking) -> Iterator[_Place]:
    keys = frame[["model", "prompt", "seed"]].drop_duplicates()
    for model in ranked.models:
        for _, prompt, seed in keys[keys["model"] == model].itertuples(index=False):
            yield _Place(model, prompt, int(seed), None, "")


def _within(places: Sequence[_Place], ranked: Ranking) -> tuple[list[_Place], int]:
    """The first places whose images fit, and how many images do not."""
    kept: list[_Place] = []
    pictures = left_out = 0
    for place in places:
        pictures += len(ranked.models[place.model])
        if pictures > MOST_PICTURES:
            left_out += len(ranked.models[place.model])
        else:
            kept.append(place)
    return kept, left_out


def _drawn(names: Sequence[Any], run: ReportedRun) -> list[Picture]:
    """Decoding and encoding leave Python's lock to others."""
    most = min(MOST, SPACE // max(1, len(names)))
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(lambda name: picture(name, run.folder, most), names))
