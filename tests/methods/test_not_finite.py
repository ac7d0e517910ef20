"""Overflow and NaN: the broken sample is named and keeps its best finite noise, and its neighbours do not notice."""

import warnings

import pytest
import torch

from noisekit.errors import BadValue
from noisekit.methods import load_method
from noisekit.methods.best import better
from noisekit.models import load_model
from noisekit.models.analytic import AnalyticModel
from noisekit.types import Candidate

RENO = "reno(steps=6, lr=0.5, rewards='clip_score:1', weights='tiny')"
PROMPTS = ["a red circle", "two blue squares", "three yellow circles"]


@pytest.fixture(scope="module")
def model():
    return AnalyticModel(steps=1)


def breaking(prompt: str, after: int):
    """Brightness, whose gradient (not its value) is no number for one prompt from call number `after` on."""
    calls = 0

    def reward(images, prompts):
        nonlocal calls
        calls += 1
        spoilt = calls > after
        return torch.stack(
            [
                own + (own - own.detach()).abs().sqrt()
                if spoilt and text == prompt
                else own  # plus 0, with slope 0/0
                for own, text in zip(images.mean((1, 2, 3)), prompts, strict=True)
            ]
        )

    return reward


def use(monkeypatch, reward):
    monkeypatch.setattr("noisekit.methods.rewarded.weighted_reward", lambda *_, **__: reward)


def test_a_sample_that_breaks_keeps_its_best_and_the_others_go_on(model, monkeypatch):
    use(monkeypatch, breaking(PROMPTS[1], after=3))
    with pytest.warns(UserWarning, match=r"reno: .*gradient of candidate 3 for 'two blue squares', seed 0"):
        found = load_method(RENO)(model, PROMPTS)
    use(monkeypatch, breaking("nobody", after=0))
    whole = load_method(RENO)(model, PROMPTS)
    cut = load_method(RENO.replace("6", "3"))(model, PROMPTS)
    assert found.broken == {1: "gradient"}
    assert found.stopped == "done"
    torch.testing.assert_close(found.noise[[0, 2]], whole.noise[[0, 2]], atol=1e-4, rtol=0)
    torch.testing.assert_close(found.noise[1], cut.noise[1], atol=1e-4, rtol=0)
    torch.testing.assert_close(found.images[1], cut.images[1], atol=1e-4, rtol=0)
    torch.testing.assert_close(found.score[1], cut.score[1], atol=1e-4, rtol=0)


def test_a_search_stops_when_every_sample_is_broken(model, monkeypatch):
    use(monkeypatch, breaking(PROMPTS[0], after=2))
    with pytest.warns(UserWarning, match="bfloat16"):
        found = load_method(RENO)(model, PROMPTS[0], seeds=[0, 1])
    assert found.stopped == "not finite"
    assert len(found.trace) == 4  # two good ones, one whose gradient breaks, one whose noise is broken by it
    assert found.noise.isfinite().all()
    assert found.images.isfinite().all()


def test_a_candidate_that_breaks_does_not_end_a_search_of_independent_ones(model, monkeypatch):
    def sometimes(images, prompts):
        score = images.mean((1, 2, 3))
        return torch.where(torch.arange(len(score)) == 1, torch.nan, score)

    use(monkeypatch, sometimes)
    with pytest.warns(UserWarning, match="score of candidate 1"):
        found = load_method("best_of(n=5, rewards='clip_score:1', weights='tiny')")(model, PROMPTS[0])
    assert len(found.trace) == 5
    assert found.score.isfinite().all()


def test_a_model_that_overflows_in_half_precision_is_noticed():
    """A real U-Net in fp16 whose output layer is scaled out of range: no image can be made, and the warning says so."""
    model = load_model("tiny-turbo", dtype=torch.float16, device="cpu")
    model.pipe.unet.conv_out.weight.mul_(6e4)
    with pytest.warns(UserWarning, match=r"standard: values that are not finite, in image of candidate 0"):
        result = load_method("standard")(model, PROMPTS[0])
    assert result.broken == {0: "image"}
    with pytest.raises(
        BadValue, match=r"'tiny-turbo' makes an image that is not finite of 'a red circle', seed 0"
    ):
        result.check_images()


def test_nothing_is_said_of_what_is_finite(model, monkeypatch):
    use(monkeypatch, breaking("nobody", after=0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not load_method(RENO)(model, PROMPTS).broken


def test_the_first_candidate_may_be_broken_for_some():
    start = Candidate(torch.zeros(2, 1, 1, 1))
    noise, images = torch.ones(2, 1, 1, 1), torch.ones(2, 3, 1, 1)
    best = better(start, Candidate(noise, torch.tensor([1.0, torch.nan]), images))
    assert best.noise.flatten().tolist() == [1, 0]
    assert best.score[0] == 1
    assert best.score[1].isnan()
    assert best.images is None  # one of the two is still to be made
    best = better(best, Candidate(2 * noise, torch.tensor([0.0, -5.0]), images))
    assert best.noise.flatten().tolist() == [1, 2]
