"""The checker as a detector: its boxes hold what was drawn, and GenEval's rules on them agree with the truth."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from noisekit.metrics.detectors.checker import Checker, colours
from noisekit.metrics.geneval.captions import record
from noisekit.metrics.geneval.rules import Record, verdict
from noisekit.world import Scene, draw, near_misses, parse, sample_scene
from noisekit.world.check import check


def pictures(scenes: list[Scene], seed: int = 0, size: int = 32) -> tuple[np.ndarray, list[Image.Image]]:
    images = (draw(scenes, np.random.default_rng(seed)) * 255).round()
    small = [Image.fromarray(image.transpose(1, 2, 0).astype(np.uint8)) for image in images]
    return images / 255, [picture.resize((size, size), Image.Resampling.NEAREST) for picture in small]


@pytest.mark.parametrize("shape", ["circle", "square", "triangle"])
@pytest.mark.parametrize("size", [32, 96])
def test_boxes_hold_what_was_drawn(shape: str, size: int) -> None:
    scenes = [parse(f"a blue {shape} on a white background")] * 10
    _, drawn = pictures(scenes, size=size)
    for picture, (found,) in zip(drawn, Checker()(drawn), strict=True):
        assert (found.label, found.colour, found.score) == (shape, "blue", 1.0)
        there = np.asarray(picture)[..., 0] < 148  # at least half blue
        rows, columns = np.flatnonzero(there.any(1)), np.flatnonzero(there.any(0))
        extent = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        assert np.abs(np.subtract(found.box, extent)).max() <= 1.2 * size / 32


def test_a_picture_of_another_world_holds_nothing() -> None:
    assert Checker()([Image.new("RGB", (40, 32)), Image.new("RGB", (32, 32))]) == [[], []]


def test_captions_as_records() -> None:
    def read(**entries: object) -> Record:
        return Record.read(entries)

    red, blue = (
        {"class": "circle", "count": 1, "color": "red"},
        {"class": "square", "count": 1, "color": "blue"},
    )
    assert record("a red circle") == read(tag="colors", include=[red])
    assert record("a red circle and a blue square") == read(tag="color_attr", include=[red, blue])
    left = read(tag="position", include=[blue, red | {"position": ["left of", 0]}])
    assert record("a red circle to the left of a blue square") == left
    three = {"class": "circle", "count": 3, "color": "red"}
    assert record("three red circles") == read(
        tag="counting", include=[three], exclude=[{"class": "circle", "count": 4}]
    )
    assert record("a red circle and a blue circle") is None  # the rules cannot tell which is which
    assert record("a photo of a dog") is None


def test_the_rules_agree_with_the_truth_on_drawn_scenes() -> None:
    """Each scene against its own caption, where both say yes, and against one that differs in a word, where both say no.

    A caption without a relation between its things is fulfilled by any place, and a background is nothing to GenEval.
    """
    rng = np.random.default_rng(0)
    scenes = [scene for scene in (sample_scene(rng) for _ in range(120)) if record(scene.caption)]
    assert len(scenes) > 60
    images, drawn = pictures(scenes)
    agreed = asked = 0
    for scene, image, found in zip(scenes, images, Checker()(drawn), strict=True):
        for caption in (scene.caption, near_misses(scene)[0]):
            wanted = record(caption)
            if wanted is None or parse(caption).background != scene.background:
                continue
            truth = check(image, parse(caption)).fulfilled
            assert caption != scene.caption or truth
            agreed += verdict(found, wanted, colours).correct == truth
            asked += 1
    assert agreed == asked
