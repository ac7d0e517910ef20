"""Rankings say the truth about their images, and the losses prefer what they say."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from noisekit.tiny import rankings
from noisekit.tiny.mps import hearing
from noisekit.tiny.pictures import Pictures
from noisekit.tiny.preferences import Batch, agreement, batch, contrast, preference
from noisekit.tiny.rankings import STEP, alignment, drawn, flawed, generated, likeness, third
from noisekit.tiny.tokenizer import BOS, EOS
from noisekit.world import draw, judge, parse, read, sample_scene


def scenes(n, seed=0):
    rng = np.random.default_rng(seed)
    return [sample_scene(rng, unseen=None) for _ in range(n)], rng


def test_a_drawing_shows_of_another_scene_what_the_checker_finds():
    wanted, rng = scenes(300)
    others = [flawed(scene, rng) for scene in wanted]
    for scene, other, image in zip(wanted, others, draw(others, rng), strict=True):
        reading = read(image)
        assert not judge(reading, scene).fulfilled
        assert alignment(reading, other) == 1
        assert alignment(reading, scene) == pytest.approx(likeness(scene, other)) != 1


@pytest.mark.parametrize(
    ("wanted", "shown", "share"),
    [
        ("a red circle", "a red circle", 1),
        ("a red circle", "a red square", 1 / 2),
        ("a red circle", "a green square", 0),
        ("a red circle", "two red circles", 2 / 4),  # one too many
        ("a red circle and a blue square", "a blue square", 2 / 4),
        ("a red circle and a blue square", "a blue circle and a red square", 2 / 4),
        ("a red circle above a blue square", "a red circle below a blue square", 4 / 5),
        ("a red circle on a pink background", "a red circle on a black background", 2 / 3),
    ],
)
def test_likeness_counts_colours_shapes_relation_and_background(wanted, shown, share):
    assert likeness(parse(wanted), parse(shown)) == pytest.approx(share)


def test_drawn_rankings_are_in_order():
    ranked = drawn(40, 3, np.random.default_rng(1))
    differ_in_words = ranked.captions[:, 0] != ranked.captions[:, 1]
    assert differ_in_words.sum() == 20
    assert (ranked.captions[:, 0] == ranked.prompts).all() and (ranked.alignment[:, 0] == 1).all()
    assert (ranked.alignment[differ_in_words, 1] < 1).all()
    assert (ranked.alignment[~differ_in_words] == 1).all()
    falls = -np.diff(ranked.quality[~differ_in_words])
    assert falls.min() >= STEP - 1e-6 and ranked.quality.min() >= 0 and ranked.quality.max() <= 1


def pictures(n=60):
    chosen, rng = scenes(n, seed=2)
    images = (255 * draw(chosen, rng)).round().astype(np.uint8)
    captions = [scene.caption for scene in chosen]
    return Pictures(images, captions, captions, rng.random(n))


def test_unchecked_rankings_owe_nothing_to_the_checker(monkeypatch):
    """pick_score learns from these: neither verdicts of before nor new ones may reach it."""
    honest = pictures()
    lying = replace(honest, captions=["" for _ in honest.captions], quality=0 * honest.quality)
    first = generated(honest, 30, 2, np.random.default_rng(3), checked=False)

    def refuse(*arguments):
        raise AssertionError("the checker was asked")

    monkeypatch.setattr(rankings, "read", refuse)
    monkeypatch.setattr(rankings, "judge", refuse)
    second = generated(lying, 30, 2, np.random.default_rng(3), checked=False)
    for name in vars(first):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    with pytest.raises(AssertionError, match="the checker was asked"):
        generated(honest, 30, 2, np.random.default_rng(3), checked=True)


def test_checked_rankings_have_the_checkers_quality_and_alignment():
    source = pictures()
    ranked = generated(source, 30, 2, np.random.default_rng(4), checked=True)
    for i in range(30):
        for j in range(2):
            image = ranked.images[i, j]
            fulfilled = judge(read(image / np.float32(255)), parse(ranked.prompts[i])).fulfilled
            assert (ranked.alignment[i, j] == 1) == fulfilled
            place = next(k for k, other in enumerate(source.images) if (other == image).all())
            assert ranked.quality[i, j] == np.float32(source.quality[place])


def test_the_thirds_share_no_picture():
    source = pictures(61)
    parts = [third(source, part) for part in range(3)]
    assert sum(len(part.images) for part in parts) == 61
    seen = [{image.tobytes() for image in part.images} for part in parts]
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]


def test_a_certain_preference_is_a_softmax_over_the_two_scores():
    scores = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
    certain = torch.tensor([[100.0, 0.0]]).expand(8, 2)
    expected = F.cross_entropy(scores, torch.zeros(8, dtype=torch.long))
    torch.testing.assert_close(preference(scores, certain), expected)


def test_scores_equal_to_the_utilities_are_the_best_ones():
    """p = σ(v_i − v_j) is met exactly, so that the gradient vanishes; in logits, not only in order."""
    utility = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    for shift, factor, best in ((0, 1, True), (3, 1, True), (0, 2, False)):
        scores = (factor * utility + shift).requires_grad_()
        preference(scores, utility).backward()
        assert (scores.grad.abs().max() < 1e-6) == best


def test_agreement_leaves_equal_utilities_out():
    utility = torch.tensor([[1.0, 1.0, 0.0]])
    assert agreement(torch.tensor([[0.0, 5.0, -1.0]]), utility) == 1
    assert agreement(torch.tensor([[-2.0, 5.0, -1.0]]), utility) == 0.5


def test_contrast_wants_each_image_at_its_caption_and_forgives_equal_ones():
    ranked = drawn(12, 2, np.random.default_rng(5))
    seen = batch(ranked, 8, torch.Generator().manual_seed(0))
    assert isinstance(seen, Batch) and len(set(seen.texts)) == len(seen.texts)
    texts = torch.eye(len(seen.texts))
    right = texts[seen.caption]
    scale = torch.tensor(50.0)
    assert contrast(seen, right, texts, scale) < 1e-6  # though several images have one caption
    assert contrast(seen, right.roll(1, 0), texts, scale) > 1


def test_hearing_depends_on_the_condition():
    condition = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    ids = torch.tensor([[BOS, 9, EOS]])
    like, unlike = torch.tensor([[[1.0, 0], [0, 1], [0, 1]]]), torch.tensor([[[1.0, 0], [-1, -1], [-1, -1]]])
    yes, no = torch.tensor([True]), torch.tensor([False])
    assert hearing(like, condition, ids, yes) == 0 and hearing(unlike, condition, ids, no) == 0
    assert hearing(like, condition, ids, no) > 0.5 and hearing(unlike, condition, ids, yes) > 0.5
