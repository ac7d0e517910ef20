"""The network that ships: small, made for the bundled model, better than nothing on its validation pairs, and usable."""

import pytest
import torch

from noisekit.methods import load_method
from noisekit.models import load_model
from noisekit.npnet.checkpoint import find_artefact, load_network, read_card
from noisekit.npnet.pairs import fingerprint
from noisekit.world.suite import suite, training_captions

PROMPTS = list(suite()[:4])


@pytest.fixture(scope="module")
def tiny():
    return load_model("tiny", device="cpu")


def test_the_card_is_that_of_the_bundled_model_and_of_something_learnt(tiny):
    card = read_card(find_artefact("npnet"))
    assert card["model"] == {"name": "tiny", "id": fingerprint(tiny.identity)}
    assert card["parameters"] == sum(p.numel() for p in load_network(find_artefact("npnet")).parameters())
    assert card["parameters"] <= 2_000_000
    assert card["pairs"]["kept"] < card["pairs"]["collected"]
    losses = card["losses"]
    assert len(losses["epochs"]) == card["training"]["epochs"]
    assert losses["epochs"][-1]["validation"] < min(losses["identity"], losses["shift"])


def test_it_is_the_bundled_models_own_setting_and_gives_diffusers_image(tiny):
    method = load_method("npnet")
    assert str(method.resolved(tiny)) == "npnet(artefact='npnet')"
    assert method.resolved(tiny).optimised == {"hps"}
    result = method(tiny, PROMPTS)
    moved = (result.noise - result.initial).flatten(1).norm(dim=1) / result.initial.flatten(1).norm(dim=1)
    assert ((moved > 0.005) & (moved < 0.5)).all()
    theirs = tiny.pipe(PROMPTS, latents=result.noise, **tiny.call_kwargs).images
    torch.testing.assert_close(result.images, theirs, atol=1e-4, rtol=0)


def test_it_saw_no_prompt_of_the_suite():
    assert not set(training_captions()) & set(suite())
