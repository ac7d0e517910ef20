"""Steering by particles: exact targets on the analytic model, lineages that replay, and gates of each sample's own.

With one Gaussian of width τ′ after sampling, and R = ⟨w, x_0⟩ with ‖w‖ = 1, the target of exp(λ·R) is a Gaussian again: its
mean reward is ⟨w, c⟩ + λ·τ′², and log Z = λ·⟨w, c⟩ + ½·λ²·τ′².
"""

import math

import pytest
import torch

from noisekit.errors import NotSupported
from noisekit.methods import load_method
from noisekit.methods.particles import Particles, gathered, systematic
from noisekit.models.analytic import AnalyticModel
from noisekit.noise import NoiseSource
from noisekit.solvers import injected_deviation

TINY = "rewards='clip_score:1', weights='tiny'"
MANY = [f"prompt {i}" for i in range(60)]
STEPS = 12


def latents(images):
    return (images[:, :1] - 0.5) * 10


@pytest.fixture
def linear(monkeypatch):
    """R = ⟨w, x_0⟩ for w of length 1, the same everywhere."""
    monkeypatch.setattr(
        "noisekit.methods.rewarded.weighted_reward",
        lambda *_, **__: lambda images, prompts: latents(images).mean((1, 2, 3)) * images.shape[-1],
    )


def gaussian(path="diffusion"):
    return AnalyticModel(components=1, steps=STEPS, eta=1.0, path=path, spread=0.3, batch=1000)


def sampled_width(model):
    """τ′ of the latents that a model with one Gaussian samples, and the mean c of each prompt of `MANY` in R."""
    grid, tau, squared = model.sampler_grid(STEPS), model.width, 0.0
    factor = 1.0
    for k in reversed(
        range(STEPS)
    ):  # what a unit of state at point k + 1 becomes, times what was injected there
        v = injected_deviation(grid, k, 1.0)
        squared += (factor * v) ** 2
        a, s = grid.a(k), grid.s(k)
        variance, carried = (a * tau) ** 2 + s**2, math.sqrt(max(0, grid.s(k + 1) ** 2 - v**2))
        factor *= grid.a(k + 1) * a * tau**2 / variance + carried * s / variance
    width = math.sqrt(squared + factor**2)
    source = NoiseSource(model.noise_shape, MANY, [0] * len(MANY))
    still = torch.zeros_like(source.initial)
    centres = model.sample(still, model.encode(MANY), injected=torch.zeros_like(source.injected(STEPS)))
    return width, centres.mean((1, 2, 3)) * model.noise_shape[1]


def figures(result, name):
    return torch.tensor(result.trace.points[-1].info[name])


# --- the parts -------------------------------------------------------------------------------------------------------


def test_systematic_resampling_keeps_the_expected_number_of_copies_within_one():
    weights = torch.rand(200, 7, generator=torch.Generator().manual_seed(0)).softmax(1)
    uniforms = torch.rand(200, 1, generator=torch.Generator().manual_seed(1))
    found = systematic(weights, uniforms)
    copies = torch.stack([(found == j).sum(1) for j in range(7)], 1)
    assert ((copies - 7 * weights).abs() < 1).all()
    assert systematic(torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([[0.0]])).tolist() == [[1, 1, 1]]
    assert systematic(torch.full((1, 4), 0.25), torch.tensor([[0.999]])).tolist() == [[0, 1, 2, 3]]


def test_values_are_gathered_by_particle_within_each_sample():
    values = torch.arange(12.0)  # particle j of sample i at 3·j + i
    chosen = torch.tensor([[3, 3, 0], [1, 0, 0], [2, 2, 2]])
    assert gathered(values, chosen).view(3, 3).T.tolist() == [[9, 9, 0], [4, 1, 1], [8, 8, 8]]


def test_a_gate_opens_for_the_samples_that_need_it_and_weights_go_on_for_the_others():
    model = AnalyticModel(steps=4, eta=1.0)
    walks = Particles(model, NoiseSource(model.noise_shape, ["a", "b"], [0, 0]), 0, 4)
    injected, noise = walks.injected.clone(), walks.noise.clone()
    walks.weigh(torch.tensor([9.0, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]))  # particle 0 of sample a, hardly of b
    before = walks.weights
    chosen = walks.resample(2, torch.full((2, 1), 0.5), adaptive=True)
    assert chosen.tolist() == [[0, 0, 0, 0], [0, 1, 2, 3]]
    assert walks.weights[0].tolist() == [0.25] * 4
    assert torch.equal(walks.weights[1], before[1])
    for j in range(4):
        assert torch.equal(walks.noise[2 * j], noise[0])
        assert torch.equal(walks.injected[2 * j, :2], injected[0, :2])
        assert torch.equal(walks.injected[2 * j, 2:], injected[2 * j, 2:])
        assert torch.equal(walks.injected[2 * j + 1], injected[2 * j + 1])


def test_a_reward_that_is_no_number_has_no_weight_and_is_not_delivered():
    model = AnalyticModel(steps=4, eta=1.0)
    walks = Particles(model, NoiseSource(model.noise_shape, ["a", "b"], [0, 0]), 0, 2)
    walks.weigh(torch.tensor([torch.nan, torch.nan, 0.0, torch.nan]))
    assert walks.weights.tolist() == [[0, 1], [0.5, 0.5]]
    best = walks.best(torch.tensor([torch.nan, 1.0, 0.0, torch.nan]), torch.zeros(4, 3, 4, 4))
    assert best.score.tolist() == [0, 1]
    assert torch.equal(best.noise, walks.noise[[2, 1]])


# --- FK --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["diffusion", "flow"])
@pytest.mark.parametrize(
    "settings",
    [
        "potential='diff', strength=4.0",
        "potential='diff', strength=4.0, adaptive=False",
        "potential='max', strength=1.5, adaptive=False",
        "potential='add', strength=0.5, adaptive=False",
    ],
)
def test_the_weighted_particles_have_the_exact_target(linear, path, settings):
    model = gaussian(path)
    width, centres = sampled_width(model)
    result = load_method(f"fk(particles=48, start=2, every=2, stop=10, {settings}, {TINY})")(model, MANY)
    strength = float(settings.split("strength=")[1].split(",")[0])
    expected = centres + strength * width**2
    found = figures(result, "mean")
    assert (found - expected).mean().item() == pytest.approx(0, abs=0.06)
    log_z = strength * centres + strength**2 * width**2 / 2
    assert (figures(result, "log_z") - log_z).mean().item() == pytest.approx(0, abs=0.15)
    assert figures(result, "resamplings").mean() > 0.5
    assert (result.score >= found).all()


def test_shares_of_two_components_become_the_targets(linear):
    """What many plain walks, weighted by exp(λ·R), say of the target; without weights both components are as frequent."""
    model, prompts = (
        AnalyticModel(components=2, steps=STEPS, eta=1.0, size=2, width=0.3, batch=10_000),
        MANY[:20],
    )
    method = f"fk(particles=64, start=2, every=2, stop=10, potential='diff', strength=2.0, {TINY})"
    found = figures(load_method(method)(model, prompts), "mean")
    many = 2000
    noises = torch.randn(many * 20, STEPS + 1, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    ends = model.sample(noises[:, 0], model.encode(prompts).repeat(many), injected=noises[:, 1:])
    rewards = (ends.mean((1, 2, 3)) * 2).view(many, 20)
    expected = ((2 * rewards).softmax(0) * rewards).sum(0)
    assert (found - expected).mean().item() == pytest.approx(0, abs=0.05)
    assert (expected - rewards.mean(0)).mean() > 0.5


def test_one_particle_is_the_standard_walk(linear):
    model = gaussian()
    standard = load_method("standard")(model, MANY[:3])
    for method in (f"fk(particles=1, {TINY})", f"das(particles=1, alpha=1e9, {TINY})"):
        found = load_method(method)(model, MANY[:3])
        torch.testing.assert_close(found.images, standard.images, atol=1e-6, rtol=0)


def test_no_strength_is_the_best_of_n_walks(linear):
    model = gaussian()
    found = load_method(f"fk(particles=5, strength=0.0, {TINY})")(model, MANY[:4])
    source = NoiseSource(model.noise_shape, MANY[:4], [0] * 4)
    walks = [source.particle(j) for j in range(5)]
    ends = torch.stack(
        [model.sample(w.initial, model.encode(MANY[:4]), injected=w.injected(STEPS)) for w in walks]
    )
    best = ends.mean((2, 3, 4)).argmax(0)
    for i, j in enumerate(best.tolist()):
        assert torch.equal(found.injected[i], walks[j].injected(STEPS)[i])
    assert (figures(found, "ancestors") == 5).all()


def test_its_points_are_the_published_ones_scaled():
    method = load_method(f"fk({TINY})")
    for steps, points in (
        (100, [20, 40, 60, 80]),
        (50, [10, 20, 30, 40]),
        (8, [2, 4, 6]),
        (4, [1, 2, 3]),
        (1, []),
    ):
        resolved = method.resolved(AnalyticModel(steps=steps, eta=1.0))
        assert list(resolved.points(steps)) == points
        assert resolved.step_cost(AnalyticModel(steps=steps)).decoder == 4 * (len(points) + 1)


def test_further_runs_are_other_walks(linear):
    model = gaussian()
    once = load_method(f"fk(particles=3, {TINY})")(model, MANY[:4])
    thrice = load_method(f"fk(particles=3, runs=3, {TINY})")(model, MANY[:4])
    assert torch.equal(torch.tensor(thrice.trace.points[0].score), once.score)
    assert (thrice.score > once.score).any()


def test_a_model_without_noise_on_the_way_says_how_to_get_some():
    with pytest.raises(NotSupported, match=r"stochastic.*'analytic\(eta=1\.0\)'"):
        load_method(f"fk({TINY})")(AnalyticModel(), ["a"])


# --- DAS -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["diffusion", "flow"])
def test_the_weighted_steered_particles_have_the_exact_target(linear, path):
    model = gaussian(path)
    width, centres = sampled_width(model)
    result = load_method(f"das(particles=24, alpha=0.25, {TINY})")(model, MANY)
    expected = centres + 4 * width**2
    assert (figures(result, "mean") - expected).mean().item() == pytest.approx(0, abs=0.06)
    log_z = 4 * centres + 8 * width**2
    assert (figures(result, "log_z") - log_z).mean().item() == pytest.approx(0, abs=0.06)
    unsteered = load_method(f"fk(particles=24, strength=4.0, potential='diff', {TINY})")(model, MANY)
    assert figures(result, "ess").mean() > 1.2 * figures(unsteered, "ess").mean()


def test_of_a_linear_reward_the_gradient_is_all_that_there_is_to_know(linear):
    """Without tempering, small steps leave all particles a weight: their ESS stays near K."""
    model = AnalyticModel(components=1, steps=50, eta=1.0, spread=0.3, batch=1000)
    result = load_method(f"das(particles=4, alpha=0.25, gamma=1.0, {TINY})")(model, MANY[:20])
    assert figures(result, "ess").mean() > 0.95 * 4
    assert (figures(result, "resamplings") == 0).all()


def test_the_reward_is_tempered_to_the_published_share_of_the_steps():
    for steps in (100, 50, 8):
        method = load_method(f"das({TINY})").resolved(AnalyticModel(steps=steps, eta=1.0))
        reached = next(k for k in range(steps + 1) if method.tempering(k, steps) == 1)
        assert reached / steps == pytest.approx(0.87, abs=0.51 / steps + 0.01)
        assert method.tempering(0, steps) == 0
    assert method.gamma == pytest.approx(0.104, abs=1e-3)
