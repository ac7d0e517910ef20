"""InitNO: its scores in closed form, its laws on the bundled model, subjects by a fixed rule, and a UNet left as it was."""

import math

import pytest
import torch

from noisekit.errors import BadValue, NotSupported
from noisekit.methods import load_method
from noisekit.methods.initno import Move, divergence, scores, smoothed
from noisekit.methods.subjects import named_in, subjects_of, tokens_of
from noisekit.models import load_model
from noisekit.models.analytic import AnalyticModel
from noisekit.models.attention import reading
from noisekit.models.outline import NotLoaded, outline
from noisekit.noise import NoiseSource
from noisekit.testing import MethodConformance

PROMPTS = ("a red circle to the left of a blue square", "two green triangles")


@pytest.fixture(scope="module")
def tiny():
    return load_model("tiny", device="cpu", steps=2)


class TestLaws(MethodConformance):
    @pytest.fixture
    def method(self):
        return load_method("initno(rounds=2, iterations=2, more=1)")

    @pytest.fixture
    def model(self, tiny):
        return tiny

    @pytest.fixture
    def prompts(self):
        return PROMPTS


# --- the scores ------------------------------------------------------------------------------------------------------


def maps(*peaks, side=8, tokens=6):
    """Cross-attention (h, w, tokens) in which token i + 1 is all that pixel peaks[i] looks at; the rest look at token 5."""
    found = torch.zeros(side, side, tokens)
    found[..., -2] = 1
    for i, (row, column) in enumerate(peaks):
        found[row, column] = torch.eye(tokens)[i + 1]
    return found


def test_a_subject_that_every_pixel_sees_is_there_and_one_of_a_single_pixel_is_the_kernels_centre():
    everywhere = torch.zeros(8, 8, 6)
    everywhere[..., 1] = 1
    own = torch.ones(8, 8, 64) / 64
    assert scores(everywhere, own, [[1]])[0].item() == pytest.approx(0, abs=1e-5)
    centre = 1 / (1 + 4 * math.exp(-1) + 4 * math.exp(-2))
    seen, mixed = scores(maps((4, 4)), own, [[1]])
    assert seen.item() == pytest.approx(1 - centre, abs=1e-4)
    assert mixed == 0  # of one subject
    assert scores(maps((4, 4), (2, 2)), own, [[1], [3]])[0].item() == pytest.approx(
        1, abs=1e-4
    )  # 3 is nowhere


@pytest.mark.parametrize(("places", "expected"), [((10, 10), 0.5), ((9, 54), 0.0)])
def test_subjects_that_look_alike_are_mixed_by_a_half_and_disjoint_ones_not_at_all(places, expected):
    """The rows of the pixels where two subjects peak: all of their weight on one pixel each."""
    own = torch.zeros(8, 8, 64)
    own[1, 1, places[0]] = own[6, 6, places[1]] = 1
    _, mixed = scores(maps((1, 1), (6, 6)), own, [[1], [2]])
    assert mixed.item() == pytest.approx(expected, abs=1e-6)


def test_smoothing_keeps_a_constant_and_the_kl_of_a_shift_is_half_its_square():
    torch.testing.assert_close(smoothed(torch.full((5, 7), 0.3)), torch.full((5, 7), 0.3))
    zero = torch.zeros(4, 8, 8)
    assert divergence(zero + 0.2, zero).item() == pytest.approx(0.02)
    assert divergence(zero, zero + 0.1).item() == pytest.approx((math.exp(0.1) - 1 - 0.1) / 2, rel=1e-3)


def test_a_noise_that_moved_too_far_comes_back():
    move = Move(torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(0)), 0.05)
    for _ in range(4):
        move.shift.grad = move.log_variance.grad = torch.full_like(move.shift, 0.01)
        move.step()
        assert divergence(move.shift, move.log_variance) <= 1e-3
    assert torch.cosine_similarity(move.noise.flatten(), move.drawn.flatten(), 0) > 0.99


# --- on a network ----------------------------------------------------------------------------------------------------


def test_ten_looks_bring_the_subjects_out(tiny):
    result = load_method("initno(rounds=1, iterations=10, more=0)")(tiny, list(PROMPTS), seeds=[0, 1])
    cross = torch.tensor([point.info["cross"] for point in result.trace.points])
    assert (cross[-1] < cross[0] - 0.02).all()
    similarity = torch.cosine_similarity(result.noise.flatten(1), result.initial.flatten(1))
    assert (similarity > 0.99).all()


def test_without_a_learning_rate_it_chooses_among_the_rounds(tiny):
    result = load_method("initno(rounds=4, iterations=1, more=0, lr=0.0)")(tiny, list(PROMPTS))
    source = NoiseSource(tiny.noise_shape, PROMPTS, [0, 0])
    for i, row in enumerate(torch.tensor([point.score for point in result.trace.points]).T):
        assert torch.equal(result.noise[i], source.draw(int(row.argmax()))[i])


def test_reading_changes_nothing_and_leaves_nothing_behind(tiny):
    source = NoiseSource(tiny.noise_shape, PROMPTS, [0, 0])
    conditioning, t = tiny.encode(PROMPTS), tiny.sampler_grid(2).timestep(0)
    before, processors = (
        tiny.predict(source.initial, t, conditioning, 1.0),
        dict(tiny.pipe.unet.attn_processors),
    )
    identity = tiny.identity
    with reading(tiny.pipe.unet) as attention:
        assert torch.equal(tiny.predict(source.initial, t, conditioning, 1.0), before)
    with pytest.raises(RuntimeError, match="broke"), reading(tiny.pipe.unet):
        raise RuntimeError("it broke")
    assert tiny.pipe.unet.attn_processors == processors
    assert tiny.identity == identity
    assert torch.equal(tiny.predict(source.initial, t, conditioning, 1.0), before)
    assert len(attention.cross) == len(attention.own) == 7
    for name, one in (attention.cross | attention.own).items():
        assert one.shape[1] in (64, 16), name
        torch.testing.assert_close(one.sum(2), torch.ones(one.shape[:2]))


def test_what_has_no_attention_over_pixels_is_refused(tiny):
    with pytest.raises(NotSupported, match="no UNet"):
        load_method("initno")(AnalyticModel(), PROMPTS)
    with pytest.raises(NotLoaded):
        load_method("initno").check(outline("tiny"))
    with pytest.raises(BadValue, match=r"2 × 2 pixels \(it has over \[16, 64\]\)"):
        load_method("initno(reduction=4)")(tiny, PROMPTS)


# --- subjects --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "subjects"),
    [
        (PROMPTS[0], ["circle", "square"]),
        ("an astronaut riding a horse on Mars", ["astronaut", "horse", "Mars"]),
        ("A black-and-white cat, 2 small dogs; and the king's crown.", ["cat", "dogs", "crown"]),
        ("", []),
        ("of the", []),
    ],
)
def test_subjects_end_the_runs_between_function_words(prompt, subjects):
    assert [prompt[start:end] for start, end in subjects_of(prompt)] == subjects


def test_named_subjects_are_whole_words_that_the_prompt_has(tiny):
    prompt = "a red circle and a square"
    assert [prompt[a:b] for a, b in named_in(prompt, "Square, red circle, squ, dog")] == [
        "square",
        "red circle",
    ]
    tokenizer = tiny.pipe.tokenizer
    ids = tokenizer(prompt).input_ids
    found = tokens_of(tokenizer, prompt, "red circle, square")
    words = [[tokenizer.convert_ids_to_tokens(ids[i]) for i in own] for own in found]
    assert words == [["red", "circle"], ["square"]]
    with pytest.raises(BadValue, match=r"subjects='dog'.*name some"):
        load_method("initno(subjects='dog')")(tiny, prompt)
    with pytest.raises(BadValue, match="by the rule"):
        tokens_of(tokenizer, "of the", None)
