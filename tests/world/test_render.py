"""Pictures: smooth edges, fixed by the seed, worse with lower quality."""

import numpy as np
import pytest

from noisekit.world import Scene, draw, parse, sample_scene
from noisekit.world.render import COLOUR_RGB, arrange


def test_images_are_floats_in_range_and_fixed_by_the_seed():
    scenes = [parse("a red circle"), parse("three green triangles on a black background")]
    first, again, other = (draw(scenes, np.random.default_rng(seed), 0.3) for seed in (1, 1, 2))
    assert first.shape == (2, 3, 32, 32) and first.dtype == np.float32
    assert 0 <= first.min() and first.max() <= 1
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_edges_are_anti_aliased_and_areas_exact():
    scene = parse("a red circle on a black background")
    rng = np.random.default_rng(0)
    _, radii = arrange(scene, np.random.default_rng(0))
    image = draw([scene], rng)[0]
    black = image[:, 0, 0]
    opacity = (image[0] - black[0]) / (COLOUR_RGB[0, 0] - black[0])
    partly = (opacity > 0.02) & (opacity < 0.98)
    assert 10 < partly.sum() < 80  # a ring of one pixel
    assert len(np.unique(opacity[partly].round(3))) > 8
    assert 6.0**2 * np.pi < opacity.sum() < 9.5**2 * np.pi and radii.shape == (1,)


def test_things_lie_inside_and_apart():
    rng = np.random.default_rng(2)
    for _ in range(2000):
        scene, quality = sample_scene(rng), rng.random()
        centres, radii = arrange(scene, rng, quality)
        assert (centres - radii[:, None] > 0).all() and (centres + radii[:, None] < 32).all()
        for i in range(len(radii)):
            for j in range(i):
                assert np.abs(centres[i] - centres[j]).max() > radii[i] + radii[j] + 1


def test_relations_hold():
    rng = np.random.default_rng(3)
    for relation, axis, sign in (("left", 0, 1), ("right", 0, -1), ("above", 1, 1), ("below", 1, -1)):
        scene = Scene("relation", (("red", "circle"), ("blue", "square")), relation)
        for _ in range(50):
            centres, _ = arrange(scene, rng)
            step = centres[1] - centres[0]
            assert sign * step[axis] > 8 and abs(step[1 - axis]) < 0.5 * abs(step[axis])


def test_clean_backgrounds_are_flat_and_poor_ones_are_not():
    scenes = [parse("a red circle on a gray background")] * 50
    rng = np.random.default_rng(4)
    corners = {q: draw(scenes, rng, q)[:, :, :3, :3].std((2, 3)).mean() for q in (1.0, 0.0)}
    assert corners[1.0] == 0 and corners[0.0] > 0.005


def test_quality_out_of_range_is_refused():
    with pytest.raises(ValueError, match="quality must lie in"):
        draw([parse("a red circle")], np.random.default_rng(0), 1.5)
