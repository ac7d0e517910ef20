"""Bands of the noise: exact spectra, orthonormal Haar bands, and a search of the low one that reaches its known optimum."""

import pytest
import torch

from noisekit.errors import NotSupported
from noisekit.methods import load_method
from noisekit.methods.best import elites
from noisekit.methods.low_band import low_band, with_low_band
from noisekit.methods.pink import tilted
from noisekit.models import load_model
from noisekit.models.analytic import AnalyticModel
from noisekit.noise import NoiseSource

PROMPTS = ["one", "two", "three"]
WEIGHTS = "rewards='clip_score:1', weights='tiny'"


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# --- pink ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(16, 16), (8, 12), (7, 5)])
@pytest.mark.parametrize("alpha", [0.0, 0.2, 1.0])
def test_the_power_falls_with_twice_alpha(shape, alpha):
    noise = normal(2, 3, *shape)
    before, after = (torch.fft.fft2(x).abs() for x in (noise, tilted(noise, alpha)))
    rows, columns = (torch.fft.fftfreq(n, 1 / n) for n in shape)
    radius = torch.hypot(rows[:, None], columns[None])
    torch.testing.assert_close(after**2, before**2 * (1 + radius) ** (-2 * alpha), atol=1e-3, rtol=1e-3)


def test_pink_noise_moves_with_the_noise_and_is_standardised():
    noise, alpha = normal(2, 4, 8, 8), 0.5
    shifted = tilted(noise.roll((2, 3), (-2, -1)), alpha)
    torch.testing.assert_close(shifted, tilted(noise, alpha).roll((2, 3), (-2, -1)), atol=1e-5, rtol=0)
    model = AnalyticModel(size=8)
    found = load_method("pink")(model, PROMPTS).noise
    torch.testing.assert_close(found.mean((2, 3)), torch.zeros(3, 1), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.std((2, 3), correction=0), torch.ones(3, 1))
    white = load_method("pink(alpha=0.0, standardise=False)")(model, PROMPTS)
    torch.testing.assert_close(white.noise, white.initial, atol=1e-6, rtol=0)


# --- the low band ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [1, 2, 3])
def test_the_bands_are_orthonormal_and_independent(level):
    noise = normal(500, 2, 8, 16)
    band = low_band(noise, level)
    assert band.shape == (500, 2, 8 // 2**level, 16 // 2**level)
    assert band.var().item() == pytest.approx(1, abs=0.1)
    details = with_low_band(noise, torch.zeros_like(band), level)
    energy = [x.flatten(1).square().sum(1) for x in (noise, band, details)]
    torch.testing.assert_close(energy[0], energy[1] + energy[2], atol=1e-3, rtol=1e-5)
    torch.testing.assert_close(with_low_band(details, band, level), noise, atol=1e-5, rtol=0)
    torch.testing.assert_close(low_band(details, level), torch.zeros_like(band), atol=1e-5, rtol=0)


def test_each_part_is_drawn_while_the_other_stays():
    model = AnalyticModel(size=8)
    fresh = NoiseSource(model.noise_shape, PROMPTS, [0] * 3).step(0)
    low, high = (load_method(f"low_band(level=2, part={part!r})")(model, PROMPTS) for part in ("low", "high"))
    for found, band, rest in ((low, fresh, low.initial), (high, high.initial, fresh)):
        torch.testing.assert_close(low_band(found.noise, 2), low_band(band, 2), atol=1e-5, rtol=0)
        details = [x - with_low_band(torch.zeros_like(x), low_band(x, 2), 2) for x in (found.noise, rest)]
        torch.testing.assert_close(*details, atol=1e-5, rtol=0)


@pytest.mark.parametrize("method", ["low_band(level=3)", f"ses(level=3, {WEIGHTS})"])
def test_a_level_that_does_not_fit_names_one_that_does(method):
    with pytest.raises(NotSupported, match=r"blocks of 8 × 8.*12 × 12; give level=2"):
        load_method(method)(AnalyticModel(size=12), PROMPTS)
    with pytest.raises(NotSupported, match="another size"):
        load_method(method)(AnalyticModel(size=5), PROMPTS)


# --- SES -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def quadratic(monkeypatch):
    """A reward of the image's low band alone, whose one optimum is the level that a noise of ¼ gives everywhere."""
    model = AnalyticModel(size=8, components=1, steps=1, width=3.0, batch=64)

    def reward(images, prompts):
        wanted = torch.cat(
            [
                model.decode(model.sample(torch.full((1, 1, 8, 8), 0.25), model.encode([text])))
                for text in prompts
            ]
        )
        return -(low_band(images - wanted, 2) ** 2).flatten(1).sum(1)

    monkeypatch.setattr("noisekit.methods.rewarded.weighted_reward", lambda *_, **__: reward)
    return model


def test_ses_finds_the_low_band_and_keeps_the_details(quadratic):
    result = load_method(f"ses(generations=12, samples=20, level=2, {WEIGHTS})")(quadratic, PROMPTS)
    band, before = low_band(result.noise, 2), low_band(result.initial, 2)
    wanted = torch.ones_like(band)  # ¼, times 2^ℓ
    assert ((band - wanted).flatten(1).norm(dim=1) < 0.1).all()
    assert ((before - wanted).flatten(1).norm(dim=1) > 1).all()
    details = [
        x - with_low_band(torch.zeros_like(x), low_band(x, 2), 2) for x in (result.noise, result.initial)
    ]
    torch.testing.assert_close(*details, atol=1e-5, rtol=0)
    spread = torch.tensor([point.info["spread"] for point in result.trace.points])
    assert (spread[:2] == 1).all()
    assert (spread[-1] < 0.3).all()


def test_the_next_generation_is_drawn_from_the_best_of_all_before():
    bands, scores = normal(6, 3, 1, 2, 2), normal(6, 3, seed=1)
    scores[2, 1] = torch.nan
    found = elites(bands, scores, 2)
    for sample in range(3):
        order = sorted(range(6), key=lambda i, s=sample: -scores[i, s].nan_to_num(-torch.inf))
        assert torch.equal(found[:, sample], bands[order[:2], sample])


def test_previews_cost_their_steps_and_are_not_the_image():
    model = load_model("tiny", device="cpu")
    method = load_method("ses(generations=2, samples=3, elites=2, rewards='aesthetic:1')")
    result = method(model, PROMPTS[:1])
    assert result.cost.denoiser == method.cost(model).denoiser == 7 * 4 * 2 + 16
    assert result.cost.decoder == 8
    whole = load_method("ses(generations=2, samples=3, elites=2, preview_steps=50, rewards='aesthetic:1')")
    assert whole.resolved(model).delivers_images(model)
    assert whole(model, PROMPTS[:1]).cost.denoiser == 7 * 16
