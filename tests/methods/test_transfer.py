"""A noise that was found on one model is used on another."""

import pytest
import torch

from noisekit.errors import BadValue, NotSupported
from noisekit.methods import load_method
from noisekit.methods.transfer import Transfer
from noisekit.models import load_model
from noisekit.models.analytic import AnalyticModel
from noisekit.types import Budget

RENO = "reno(steps=2, rewards='clip_score:1', weights='tiny')"
ACROSS = f"transfer({RENO}, model='tiny-turbo')"
PROMPTS = ["a red circle", "two blue squares"]


@pytest.fixture(scope="module")
def tiny():
    return load_model("tiny", device="cpu", steps=3)


@pytest.fixture(scope="module")
def turbo():
    return load_model("tiny-turbo", device="cpu")


@pytest.mark.slow
def test_the_noise_is_that_of_the_searched_model_and_the_image_the_others(tiny, turbo):
    found = load_method(RENO)(turbo, PROMPTS)
    result = load_method(ACROSS)(tiny, PROMPTS)
    torch.testing.assert_close(result.noise, found.noise, atol=1e-4, rtol=0)
    assert not torch.equal(result.noise, result.initial)
    torch.testing.assert_close(result.images, tiny.decode(tiny.sample(result.noise, tiny.encode(PROMPTS))))
    assert result.score is None
    last = result.trace.points[-1].info
    assert set(last) >= {"searched", "gradient", "norm"}


def test_both_models_calls_are_counted(tiny):
    method = load_method(ACROSS)
    spent = method(tiny, PROMPTS).cost
    assert spent.denoiser == 2 + 6
    assert spent.denoiser_backward == 2
    assert (spent.denoiser, spent.decoder) == (method.cost(tiny).denoiser, method.cost(tiny).decoder)
    assert method(tiny, PROMPTS, budget=Budget(calls=10)).cost.calls == 6 + 1 * 3


def test_settings_left_out_come_from_the_searched_models_card(tiny, turbo):
    resolved = load_method("transfer(reno, model='tiny-turbo')").resolved(tiny)
    assert resolved.method == load_method("reno").resolved(turbo)
    assert load_method(str(resolved)).resolved(tiny) == resolved
    assert resolved.optimised == resolved.method.optimised


def test_the_searched_model_is_part_of_the_identity(tiny, turbo):
    method = load_method(ACROSS).resolved(tiny)
    assert method.dependencies(tiny.device)["searched"] == turbo.identity


def test_what_cannot_travel(tiny):
    with pytest.raises(NotSupported, match=r"shape \(4, 8, 8\) found on 'tiny-turbo' .*'analytic'"):
        load_method(ACROSS)(AnalyticModel(steps=1), PROMPTS)
    with pytest.raises(NotSupported, match=r"'reno' needs .* one-step, but 'tiny' is not"):
        load_method("transfer(reno, model='tiny')")(tiny, PROMPTS)


@pytest.mark.parametrize("text", ["transfer(reno)", "transfer(model='tiny')", "transfer"])
def test_a_transfer_needs_a_method_and_a_model(text):
    with pytest.raises(BadValue, match="transfer\\(reno, model='sdxl-turbo'\\)"):
        load_method(text)


def test_two_methods_are_refused_with_the_way_to_join_them():
    with pytest.raises(BadValue, match=r"then\(selection, reno\)"):
        load_method("transfer(selection, reno, model='tiny-turbo')")
    assert isinstance(load_method("transfer(then(selection, reno), model='tiny')"), Transfer)
