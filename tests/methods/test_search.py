"""Searches by a reward's values: each does the steps that its equations say, and climbs as fast as order statistics allow.

On the analytic model with one component an image is an affine map of its noise. So the reward below is exactly standard
normal over random noises, and what a search reaches on average follows from the expected maximum of N normals alone.
"""

from functools import cache
from itertools import pairwise

import pytest
import torch

from noisekit.methods import load_method
from noisekit.methods.random_search import neighbour
from noisekit.models import load_model
from noisekit.models.analytic import AnalyticModel
from noisekit.noise import NoiseSource

RHO = 0.95
FRESH = (1 - RHO**2) ** 0.5  # how far a neighbour's reward may differ from its pivot's
WEIGHTS = "rewards='clip_score:1', weights='tiny'"
MANY = [f"prompt {i}" for i in range(400)]


def brightest(n):
    """E[max of n standard normals] = ∫ x·n·Φ(x)^(n−1)·φ(x) dx, by quadrature in fp64."""
    x = torch.linspace(-9, 9, 20001, dtype=torch.float64)
    normal = torch.distributions.Normal(0.0, 1.0)
    density = n * normal.cdf(x) ** (n - 1) * normal.log_prob(x).exp()
    return torch.trapezoid(x * density, x).item()


@pytest.fixture(scope="module")
def model():
    model = AnalyticModel(components=1, steps=1, width=3.0, batch=64)
    model.markers = frozenset()  # these methods need nothing of a model
    return model


@pytest.fixture(autouse=True)
def standardised(model, monkeypatch):
    """Swap the reward for the image's brightness, shifted and scaled to N(0, 1) over random noises."""

    @cache
    def brightness(prompt, level):
        noise = torch.full((1, *model.noise_shape), level)
        return model.decode(model.sample(noise, model.encode([prompt]))).mean().item()

    def reward(images, prompts):
        dark = torch.tensor([brightness(text, 0.0) for text in prompts])
        light = torch.tensor([brightness(text, 1.0) for text in prompts])
        side = model.noise_shape[1]  # the sum of d = side² noises has deviation √d
        return (images.mean((1, 2, 3)) - dark) / (light - dark) * side

    monkeypatch.setattr("noisekit.methods.rewarded.weighted_reward", lambda *_, **__: reward)
    return reward


def traced(result):
    """The score of every candidate, (candidates, B)."""
    return torch.tensor([point.score for point in result.trace.points])


def test_the_reward_of_random_noises_is_standard_normal(model):
    scores = traced(load_method(f"best_of(n=1, {WEIGHTS})")(model, MANY))
    assert scores.mean().item() == pytest.approx(0, abs=0.15)
    assert scores.std().item() == pytest.approx(1, abs=0.1)


def test_best_of_n_gains_what_the_maximum_of_n_normals_gains(model):
    result = load_method(f"best_of(n=17, {WEIGHTS})")(model, MANY)
    best = torch.tensor([point.best for point in result.trace.points])
    for n, tolerance in ((1, 0.15), (4, 0.11), (17, 0.08)):  # three standard errors of the mean of 400 maxima
        assert best[n - 1].mean().item() == pytest.approx(brightest(n), abs=tolerance)


def test_zero_order_search_walks_as_fast_as_its_neighbours_differ(model):
    """z ← ρ·z + √(1 − ρ²)·max of 4 normals, so that E z_n = √(1 − ρ²)·E₄·(1 − ρⁿ)/(1 − ρ): far beyond best-of-n."""
    result = load_method(f"zero_order(steps=20, {WEIGHTS})")(model, MANY[:200])
    scores = traced(result).mean(1)
    for n in (1, 5, 20):
        expected = FRESH * brightest(4) * (1 - RHO**n) / (1 - RHO)
        assert scores[n].item() == pytest.approx(expected, abs=0.18)  # three standard errors
    assert result.score.mean() > brightest(81) + 1


def test_random_search_climbs(model):
    result = load_method(f"random_search(steps=40, {WEIGHTS})")(model, MANY[:50])
    best = torch.tensor([point.best for point in result.trace.points])
    assert (best.diff(dim=0) >= 0).all()
    assert best[-1].mean() > brightest(41) + 0.5


@pytest.mark.parametrize("stay", [False, True])
def test_zero_order_search_is_the_papers_walk(model, standardised, stay):
    """The equations written out for one sample: the best neighbour becomes the pivot, even when it is worse."""
    prompts = MANY[:1]
    result = load_method(f"zero_order(steps=12, neighbours=2, stay={stay}, {WEIGHTS})")(model, prompts)
    source = NoiseSource(model.noise_shape, prompts, [0])

    def reward(noise):
        return standardised(model.decode(model.sample(noise, model.encode(prompts))), prompts).item()

    pivot, expected, best = source.initial, [reward(source.initial)], source.initial
    for i in range(12):
        around = [RHO * pivot + FRESH * source.step(2 * i + j) for j in range(2)]
        chosen = max(around, key=reward)
        expected.append(reward(chosen))
        pivot = chosen if not stay or reward(chosen) > reward(pivot) else pivot
        best = max(best, chosen, key=reward)
    assert traced(result)[:, 0].tolist() == pytest.approx(expected, abs=1e-4)
    torch.testing.assert_close(result.noise, best)
    assert any(later < before for before, later in pairwise(expected))  # so the two walks differ


def test_random_search_is_a_zero_order_search_with_one_neighbour_that_stays(model):
    one = load_method(f"random_search(steps=9, {WEIGHTS})")(model, MANY[:5])
    other = load_method(f"zero_order(steps=9, neighbours=1, stay=True, {WEIGHTS})")(model, MANY[:5])
    assert torch.equal(one.noise, other.noise)
    assert not torch.equal(one.noise, one.initial)


def test_best_of_takes_the_best_of_the_samples_own_draws(model, standardised):
    prompts = MANY[:3]
    result = load_method(f"best_of(n=6, {WEIGHTS})")(model, prompts)
    source = NoiseSource(model.noise_shape, prompts, [0] * 3)
    images = [model.decode(model.sample(source.draw(k), model.encode(prompts))) for k in range(6)]
    best = torch.stack([standardised(x, prompts) for x in images]).argmax(0)
    for i, k in enumerate(best.tolist()):
        assert torch.equal(result.noise[i], source.draw(k)[i])
        torch.testing.assert_close(result.images[i], images[k][i])


def test_a_neighbour_is_standard_normal_at_the_cosine():
    source = NoiseSource((4, 32, 32), ["a", "b"], [0, 1])
    near = neighbour(source.initial, source.step(0), RHO)
    assert near.var().item() == pytest.approx(1, abs=0.05)
    cosine = torch.cosine_similarity(near.flatten(1), source.initial.flatten(1))
    assert cosine.tolist() == pytest.approx([RHO, RHO], abs=0.01)
    assert torch.equal(neighbour(source.initial, source.step(0), 1.0), source.initial)


def test_the_prompts_are_encoded_once(model, monkeypatch):
    encoded = []
    encode = AnalyticModel.encode
    monkeypatch.setattr(
        AnalyticModel, "encode", lambda self, texts: encoded.append(texts) or encode(self, texts)
    )
    monkeypatch.setattr(
        "noisekit.methods.rewarded.weighted_reward", lambda *_, **__: lambda images, _: images.mean((1, 2, 3))
    )
    load_method(f"zero_order(steps=3, {WEIGHTS})")(model, MANY[:2])
    assert encoded == [MANY[:2]]


@pytest.mark.parametrize(
    "spec", ["best_of(n=3)", "zero_order(steps=1, neighbours=2)", "random_search(steps=2)"]
)
def test_a_found_noise_gives_its_image_again_under_a_stochastic_sampler(spec, monkeypatch):
    """Every candidate of a batch draws the sampler's noise of its own sample, as the final image would."""
    monkeypatch.undo()  # the real reward
    model = load_model("tiny", steps=2, scheduler="EulerAncestralDiscreteScheduler", device="cpu")
    prompts = ["a red circle", "two blue squares"]
    result = load_method(spec)(model, prompts)
    source = NoiseSource(model.noise_shape, prompts, [0, 0])
    with torch.no_grad():
        latents = model.sample(result.noise, model.encode(prompts), source.sampler_generators())
        torch.testing.assert_close(result.images, model.decode(latents), atol=1e-4, rtol=0)
