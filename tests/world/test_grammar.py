"""Captions and scenes are two forms of one thing."""

import numpy as np
import pytest

from noisekit.world import grammar
from noisekit.world.grammar import KINDS, Scene, near_misses, parse, sample_scene, words


def scenes(n, seed=0, **options):
    rng = np.random.default_rng(seed)
    return [sample_scene(rng, **options) for _ in range(n)]


def test_every_caption_parses_to_its_scene():
    for scene in scenes(4000, unseen=None):
        assert parse(scene.caption) == scene


def test_captions_are_plain_english():
    assert Scene("single", (("red", "circle"),)).caption == "a red circle"
    assert Scene("count", (("green", "triangle"),) * 3).caption == "three green triangles"
    things = (("red", "circle"), ("blue", "square"), ("green", "triangle"))
    assert Scene("pair", things[:2]).caption == "a red circle and a blue square"
    relation = Scene("relation", things[:2], "left", "pink")
    assert relation.caption == "a red circle to the left of a blue square on a pink background"
    triple = Scene("triple", things, None, "white")
    assert triple.caption == "a red circle, a blue square and a green triangle on a white background"


def test_parsing_forgives_case_and_spaces():
    assert parse("  A red  circle , a blue square AND a green triangle").kind == "triple"


@pytest.mark.parametrize(
    "caption",
    ["", "a cat", "a red circle and a red circle", "two red circle", "four red circles", "<b>" * 4000],
)
def test_other_sentences_are_refused_with_an_example(caption):
    with pytest.raises(ValueError, match="write, for example, 'a red circle to the left of") as error:
        parse(caption)
    assert repr(caption[:70])[:-1] in str(error.value)
    assert len(str(error.value)) < 250


@pytest.mark.parametrize(
    "fields",
    [
        ("single", (("red", "circle"), ("red", "square"))),
        ("pair", (("red", "circle"), ("red", "circle"))),
        ("count", (("red", "circle"), ("red", "square"))),
        ("relation", (("red", "circle"), ("red", "square"))),
        ("single", (("red", "circle"),), "left"),
        ("single", (("red", "blob"),)),
        ("single", (("red", "circle"),), None, "green"),
        ("crowd", (("red", "circle"),)),
    ],
)
def test_impossible_scenes_are_refused(fields):
    with pytest.raises(ValueError):
        Scene(*fields)


def test_near_misses_differ_in_exactly_one_word():
    for scene in scenes(300, unseen=None):
        sentence = words(scene.caption)
        captions = near_misses(scene)
        assert len(captions) == len(set(captions)) >= 6
        for caption in captions:
            other = words(caption)
            assert len(other) == len(sentence)
            assert sum(a != b for a, b in zip(sentence, other, strict=True)) == 1
            assert parse(caption) != scene


def test_held_out_things_stay_out_of_training():
    assert not any(scene.unseen for scene in scenes(2000))
    assert all(scene.unseen for scene in scenes(200, unseen=True))
    assert {scene.kind for scene in scenes(200)} == set(KINDS)


def test_the_vocabulary_covers_every_caption():
    vocabulary = set(grammar.WORDS)
    assert len(vocabulary) == len(grammar.WORDS)
    used = {word for scene in scenes(3000, unseen=None) for word in words(scene.caption)}
    assert used == vocabulary
