"""Stochastic models: η is a setting like any other, noises go in as tensors, and the pipeline's own call says the same."""

import pytest
import torch

from noisekit.errors import BadValue, NotSupported
from noisekit.models import load_model
from noisekit.models.analytic import AnalyticModel
from noisekit.models.base import Marker
from noisekit.models.outline import outline
from noisekit.noise import NoiseSource

PROMPTS = ["a red circle", "two blue squares"]


def source_of(model, seeds=(0, 1)):
    return NoiseSource(model.noise_shape, PROMPTS, list(seeds))


@pytest.fixture(scope="module")
def tiny():
    return load_model("tiny(eta=1.0)", device="cpu")


def test_eta_is_a_setting_of_the_model_and_part_of_its_identity(tiny):
    plain = load_model("tiny", device="cpu")
    assert tiny.label == "tiny(eta=1.0)"
    assert Marker.STOCHASTIC in tiny.markers
    assert Marker.STOCHASTIC not in plain.markers
    assert plain.identity | {"eta": 1.0} == tiny.identity
    assert plain.identity["eta"] == 0.0
    assert outline("tiny(eta=0.5)").markers == tiny.markers
    flows = [AnalyticModel(path="flow", eta=eta).identity for eta in (0.0, 0.5)]
    assert flows[0] != flows[1]
    assert "eta" not in flows[0]


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_its_images_are_those_of_the_pipelines_own_call(eta):
    model = load_model(f"tiny(eta={eta})", device="cpu")
    source = source_of(model)
    ours = model.decode(model.sample(source.initial, model.encode(PROMPTS), source.sampler_generators()))
    theirs = model.pipe(
        PROMPTS, latents=source.initial, generator=source.sampler_generators(), **model.call_kwargs
    )
    torch.testing.assert_close(ours, theirs.images, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("path", ["diffusion", "flow"])
def test_given_noises_replay_what_the_generators_draw(path):
    model = AnalyticModel(path=path, eta=0.7, steps=6)
    source, conditioning = source_of(model), model.encode(PROMPTS)
    drawn = model.sample(source.initial, conditioning, source.sampler_generators())
    given = model.sample(source.initial, conditioning, injected=source.injected(6))
    assert torch.equal(drawn, given)
    other = model.sample(source.initial, conditioning, injected=source.particle(1).injected(6))
    assert (other - drawn).abs().max() > 0.1


def test_the_walk_is_its_transitions(tiny):
    source, conditioning = source_of(tiny), tiny.encode(PROMPTS)
    fresh, v, x = source.injected(8), tiny.deviations(), source.initial
    for k in range(8):
        after, clean = tiny.transition(x, k, conditioning, fresh[:, k])
        mean, same = tiny.transition(x, k, conditioning, None)
        torch.testing.assert_close(after, mean + v[k] * fresh[:, k])
        assert torch.equal(clean, same)
        x = after
    assert torch.equal(x, tiny.sample(source.initial, conditioning, injected=fresh))
    torch.testing.assert_close(x, clean, atol=1e-5, rtol=0)  # nothing is injected into the clean end


def test_the_gradient_reaches_every_noise_that_counts(tiny):
    source = source_of(tiny)
    noise, fresh = source.initial.requires_grad_(), source.injected(8).requires_grad_()
    image = tiny.decode(tiny.sample(noise, tiny.encode(PROMPTS), injected=fresh))
    to_noise, to_fresh = torch.autograd.grad(image.square().sum(), (noise, fresh))
    assert (to_noise.flatten(1).norm(dim=1) > 0).all()
    reached = to_fresh.flatten(2).norm(dim=2)
    assert (reached[:, :-1] > 0).all()
    assert (reached[:, -1] == 0).all()


def test_other_numbers_of_steps_than_the_cards(tiny):
    source = source_of(tiny)
    one = tiny.sample(source.initial, tiny.encode(PROMPTS), source.sampler_generators(), steps=4)
    other = tiny.sample(source.initial, tiny.encode(PROMPTS), injected=source.injected(4), steps=4)
    assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("model", "kind", "says"),
    [
        ("tiny(eta=1.5)", BadValue, "outside 0…1"),
        ("tiny(eta='much')", BadValue, "not a number"),
        ("tiny(eta=1.0, scheduler='dpmpp_2m')", NotSupported, r"eta=1\.0.*DPMSolver.*scheduler='ddim'"),
        ("tiny(eta=1.0, scheduler='euler_a')", NotSupported, "EulerAncestral"),
    ],
)
def test_an_eta_that_cannot_be(model, kind, says):
    with pytest.raises(kind, match=says):
        load_model(model, device="cpu")


def test_noises_that_do_not_fit_are_named(tiny):
    source, conditioning = source_of(tiny), tiny.encode(PROMPTS)
    with pytest.raises(BadValue, match=r"\(2, 8, …\), not \(2, 7,"):
        tiny.sample(source.initial, conditioning, injected=source.injected(7))
    with pytest.raises(BadValue, match="neither generators nor injected"):
        tiny.sample(source.initial, conditioning)
    plain = AnalyticModel()
    with pytest.raises(NotSupported, match=r"analytic\(eta=1\.0\)"):
        plain.sample(source_of(plain).initial, plain.encode(PROMPTS), injected=source_of(plain).injected(10))
