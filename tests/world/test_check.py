"""The checker against scenes that were drawn: what it accepts, what it refuses, what it calls good."""

import numpy as np
import pytest
import torch

from noisekit.world import check, draw, judge, near_misses, parse, read, sample_scene
from noisekit.world.grammar import OPPOSITE, Scene


@pytest.fixture(scope="module")
def clean():
    rng = np.random.default_rng(0)
    scenes = [sample_scene(rng, unseen=None) for _ in range(1500)]
    return scenes, [read(image) for image in draw(scenes, rng)]


def test_clean_renders_are_accepted(clean):
    assert np.mean([judge(reading, scene).fulfilled for scene, reading in zip(*clean, strict=True)]) >= 0.995


def test_renders_of_other_prompts_are_refused(clean):
    scenes, readings = clean
    rng = np.random.default_rng(1)
    shuffled = enumerate(rng.permutation(len(scenes)))
    pairs = [(i, j) for i, j in shuffled if scenes[i].caption != scenes[j].caption]
    assert np.mean([judge(readings[i], scenes[j]).fulfilled for i, j in pairs]) <= 0.005


def test_near_misses_are_refused(clean):
    verdicts = [
        judge(reading, parse(caption)).fulfilled
        for scene, reading in zip(*clean, strict=True)
        for caption in near_misses(scene)[::6]
    ]
    assert len(verdicts) > 2000 and np.mean(verdicts) <= 0.005


def test_poor_renders_are_mostly_accepted():
    rng = np.random.default_rng(2)
    scenes = [sample_scene(rng, unseen=None) for _ in range(400)]
    images = draw(scenes, rng, rng.random(400))
    verdicts = [check(image, scene) for image, scene in zip(images, scenes, strict=True)]
    assert np.mean([verdict.fulfilled for verdict in verdicts]) >= 0.9


def test_quality_follows_the_nuisance():
    rng = np.random.default_rng(3)
    scenes = [sample_scene(rng) for _ in range(600)]
    nuisance = rng.random(600)
    measured = [read(image).quality for image in draw(scenes, rng, nuisance)]
    assert 0 <= min(measured) and max(measured) <= 1
    assert np.corrcoef(nuisance, measured)[0, 1] >= 0.85


def test_each_skill_is_judged_by_itself():
    scene = parse("a red circle to the left of a blue square on a white background")
    image = draw([scene], np.random.default_rng(4))[0]
    verdict = check(image, scene)
    assert verdict.fulfilled and verdict.quality > 0.9
    assert (verdict.colour, verdict.shape, verdict.count, verdict.relation, verdict.background) == (True,) * 5

    flipped = check(image, Scene(scene.kind, scene.objects, OPPOSITE["left"], "white"))
    assert not flipped.fulfilled and flipped.relation is False and flipped.colour and flipped.count

    other = check(image, parse("a red square and a blue circle on a pink background"))
    assert not other.fulfilled and other.colour and other.shape and other.count
    assert other.relation is None and other.background is False

    three = check(image, parse("three red circles"))
    assert not (three.count or three.colour or three.shape or three.fulfilled) and three.background is None


def test_tensors_and_larger_images_are_read_alike():
    scene = parse("two yellow triangles")
    image = draw([scene], np.random.default_rng(5))[0]
    large = torch.from_numpy(image).repeat_interleave(4, 1).repeat_interleave(4, 2)
    assert check(large, scene) == check(image, scene)


def test_things_of_one_colour_that_touch_are_counted():
    """Two circles side by side whose outlines meet."""
    grid = np.arange(32) + 0.5
    circles = [np.hypot(grid[None] - x, grid[:, None] - 16) for x in (10.0, 22.0)]
    inside = np.clip(0.5 + 6 - np.minimum(*circles), 0, 1)
    image = 1 - inside * (1 - np.array([0.86, 0.14, 0.14])[:, None, None])
    assert check(image, parse("two red circles")).fulfilled


def test_a_shape_between_two_shapes_is_neither():
    grid = np.abs(np.arange(32) + 0.5 - 16)
    rounded = (grid[None] ** 3.2 + grid[:, None] ** 3.2) ** (1 / 3.2)
    image = 1 - np.clip(0.5 + 7 - rounded, 0, 1) * (1 - np.array([0.86, 0.14, 0.14])[:, None, None])
    (thing,) = read(image).objects
    assert thing.shape is None and thing.colour == "red"


def test_an_empty_image_shows_nothing():
    verdict = check(np.full((3, 32, 32), 0.5), parse("a red circle"))
    assert not verdict.fulfilled and verdict.quality == 0
    assert read(np.zeros((3, 32, 32))).background == "black"


@pytest.mark.parametrize("shape", [(32, 32, 3), (3, 32, 48), (3, 40, 40), (1, 3, 32, 32)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="has the shape"):
        read(np.zeros(shape))
