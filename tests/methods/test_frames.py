"""Noise of four axes: what methods, stores and metrics make of sequences of frames."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from noisekit.cost import counted
from noisekit.image_prompts import ControlledPrompt, ImagePrompt
from noisekit.methods import load_method
from noisekit.models.analytic import AnalyticModel
from noisekit.noise import NoiseSource
from noisekit.registry import METHODS
from noisekit.types import COUNTED
from tests.methods.test_laws import SEARCHES

REWARD = "rewards='clip_score:1', weights='tiny'"
WALKS = [
    f"fk(particles=2, {REWARD})",
    f"das(particles=2, alpha=1.0, {REWARD})",
    f"dno(steps=2, orders=2, {REWARD})",
    f"evosearch(populations='3 2 2 2 2', elites=1, {REWARD})",
    f"rbf(evaluations=8, initial=2, {REWARD})",
    f"initno({REWARD})",
]
#: What reads a network or a file that is made for other models.
OTHERS = {"npnet", "hypernoise", "golden_seeds", "initno", "transfer", "inversion", "repaint"}
PROMPTS = ["a red circle", ImagePrompt("", Image.linear_gradient("L"))]


@pytest.fixture(autouse=True)
def _reward(monkeypatch: pytest.MonkeyPatch) -> None:
    def brightness(images: torch.Tensor, prompts: list[str]) -> torch.Tensor:
        frames = counted("reward", images.flatten(0, -4).flatten(1).mean(1))
        return frames.view(len(images), -1).mean(1)

    monkeypatch.setattr("noisekit.methods.rewarded.weighted_reward", lambda *_, **__: brightness)


def specs() -> list[str]:
    """Every method once or more, in the order of the registry's names."""
    all_of_them = ["standard", "pink", "low_band(level=1)", *SEARCHES, *WALKS[:-1]]
    return sorted(dict.fromkeys(all_of_them))


def test_no_method_is_left_out() -> None:
    named = {load_method(spec).name for spec in specs()}
    assert set(METHODS) - named <= OTHERS


@pytest.mark.parametrize("spec", specs())
def test_a_method_searches_sequences_as_it_does_images(spec: str) -> None:
    stochastic = spec.split("(")[0] in {walk.split("(")[0] for walk in WALKS}
    model = AnalyticModel(steps=2 if stochastic else 1, frames=3, batch=5, eta=1.0 if stochastic else 0.0)
    method = load_method(spec)
    batch = method(model, PROMPTS, seeds=[0, 1])
    assert batch.noise.shape == (4, 3, 1, 4, 4)
    assert batch.images.shape == (4, 3, 3, 4, 4)
    announced = method.cost(model)
    assert all(getattr(batch.cost, name) == getattr(announced, name) for name in COUNTED)
    single = method(model, PROMPTS[1:], seeds=[1])
    torch.testing.assert_close(batch.noise[3:], single.noise, atol=1e-4, rtol=0)
    torch.testing.assert_close(batch.images[3:], single.images, atol=1e-4, rtol=0)
    if "standard" not in spec:
        assert (batch.noise - batch.initial).flatten(1).norm(dim=1).max() > 1e-3


def test_frames_are_one_noise() -> None:
    """A sequence is drawn, compared and stepped as one vector: its frames are no samples of their own."""
    model = AnalyticModel(steps=1, frames=3)
    cosine = load_method("cosine(steps=2, round_trip_steps=3, lr_per_element=0.05)")
    result = cosine(model, PROMPTS[:1])
    (point, *_) = result.trace.points
    assert len(point.info["norm"]) == 1
    torch.testing.assert_close(point.info["norm"][0], result.initial.norm().item())


def test_pixels_key_the_noise_of_an_image_that_is_the_prompt() -> None:
    pictures = [Image.linear_gradient("L"), Image.radial_gradient("L")]
    same_text = [ImagePrompt("red", picture) for picture in pictures]
    led = [ControlledPrompt("red", picture) for picture in pictures]
    noises = NoiseSource((2, 1, 4, 4), [*same_text, *led, "red"], [0] * 5).initial
    assert (noises[0] - noises[1]).abs().max() > 0.1
    assert torch.equal(noises[2], noises[3])
    assert torch.equal(noises[2], noises[4])
    shared = NoiseSource((2, 1, 4, 4), same_text, [0, 0], "shared").initial
    assert torch.equal(shared[0], shared[1])
