"""The stochastic step against diffusers' samplers, draw for draw, and against the closed form of one Gaussian."""

import math

import pytest
import torch
from diffusers import DDIMScheduler, EulerAncestralDiscreteScheduler, FlowMatchEulerDiscreteScheduler

from noisekit.models.analytic import AnalyticModel
from noisekit.noise import NoiseSource
from noisekit.solvers import flow_grid, injected_deviation, noisy_step, sampler_grid

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
TRAILING = BETAS | {"timestep_spacing": "trailing", "clip_sample": False}
TOLERANCE = 1e-5


def generators():
    return [torch.Generator().manual_seed(seed) for seed in range(3)]


def normal(seed, *shape):
    return torch.randn(*(shape or (3, 4, 8, 8)), generator=torch.Generator().manual_seed(seed))


def draws(own):
    return torch.stack([torch.randn(4, 8, 8, generator=one) for one in own])


def network(x, t):
    return torch.tanh(x.flip(-1) + 0.3 * torch.sin(x * 2) - float(t) / 1000) + 0.1 * x


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("to_one", [True, False])
def test_it_is_ddims_eta(prediction, eta, to_one):
    config = TRAILING | {"prediction_type": prediction, "set_alpha_to_one": to_one}
    scheduler = DDIMScheduler(**config)
    scheduler.set_timesteps(8)
    grid, x, theirs, ours = sampler_grid(scheduler), normal(0), generators(), generators()
    for k, t in enumerate(scheduler.timesteps):
        expected = scheduler.step(network(x, t), t, x, eta=eta, generator=theirs)
        fresh = draws(ours)
        found, clean = noisy_step(grid, network(x, t), x, k, fresh, injected_deviation(grid, k, eta))
        torch.testing.assert_close(found, expected.prev_sample, atol=TOLERANCE, rtol=TOLERANCE)
        torch.testing.assert_close(clean, expected.pred_original_sample, atol=TOLERANCE, rtol=1e-4)
        x = expected.prev_sample


def test_at_one_it_is_euler_ancestral_on_the_same_levels():
    scheduler = EulerAncestralDiscreteScheduler(**BETAS, timestep_spacing="trailing")
    scheduler.set_timesteps(8)
    grid, own, ours = sampler_grid(scheduler), generators(), generators()
    state = normal(0) * scheduler.init_noise_sigma
    x = state / math.hypot(scheduler.sigmas[0].item(), 1)  # unit variance, as everywhere here
    for k, t in enumerate(scheduler.timesteps):
        scaled = scheduler.scale_model_input(state, t)
        torch.testing.assert_close(scaled, x, atol=TOLERANCE, rtol=1e-4)
        state = scheduler.step(network(scaled, t), t, state, generator=own).prev_sample
        x, _ = noisy_step(grid, network(x, t), x, k, draws(ours), injected_deviation(grid, k, 1.0))
    torch.testing.assert_close(x, state, atol=TOLERANCE, rtol=1e-4)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_with_nothing_carried_it_is_flow_matchings_stochastic_sampling(shift):
    scheduler = FlowMatchEulerDiscreteScheduler(stochastic_sampling=True, shift=shift)
    scheduler.set_timesteps(6)
    grid, x = flow_grid(scheduler), normal(0)
    for k, t in enumerate(scheduler.timesteps):
        u = network(x, t)
        torch.manual_seed(k)  # the oldest diffusers allowed draw from here whatever generator they are given
        expected = scheduler.step(u, t, x, generator=torch.Generator().manual_seed(k)).prev_sample
        fresh = torch.randn(x.shape, generator=torch.Generator().manual_seed(k))
        found, _ = noisy_step(grid, u, x, k, fresh, grid.s(k + 1))
        torch.testing.assert_close(found, expected, atol=TOLERANCE, rtol=TOLERANCE)
        x = expected


@pytest.mark.parametrize("path", ["diffusion", "flow"])
@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_one_gaussian_is_the_affine_map_of_all_its_noises(path, eta):
    """x_0 = c + Γ_T·ε_T + Σ_k Γ_k·ξ_k, each factor the product of what the later steps leave of it.

    In units of x/a a step multiplies the distance to the mean by ρ_k = (τ² + σ_k·√(σ_{k+1}² − v_k²)) / (τ² + σ_k²).
    """
    model = AnalyticModel(components=1, steps=7, path=path, eta=eta, size=4)
    grid, tau, number = model.sampler_grid(7), model.width, 7
    model.markers |= {"stochastic"}  # also where η is 0, to walk by transitions
    a, s = [[f(k) for k in range(number + 1)] for f in (grid.a, grid.s)]

    def left(k):
        """What a unit of state at point k becomes of the clean latents."""
        factor = 1.0
        for i in range(k, number):
            variance = (a[i] * tau) ** 2 + s[i] ** 2
            carried = math.sqrt(max(0, s[i + 1] ** 2 - injected_deviation(grid, i, eta) ** 2))
            factor *= a[i + 1] * a[i] * tau**2 / variance + carried * s[i] / variance
        return factor

    v = model.deviations()
    source = NoiseSource(model.noise_shape, ["one", "two"], [0, 0])
    conditioning, fresh = model.encode(["one", "two"]), source.injected(number)
    with_all = model.sample(source.initial, conditioning, injected=fresh)
    mean = model.sample(torch.zeros_like(source.initial), conditioning, injected=torch.zeros_like(fresh))
    expected = mean + left(0) * source.initial + sum(left(k + 1) * v[k] * fresh[:, k] for k in range(number))
    torch.testing.assert_close(with_all, expected, atol=2e-5, rtol=0)
    assert v[-1] == 0
    assert (v[0] > 0) == (eta > 0)
