"""Methods that choose all noises of a walk: the laws on diffusions and flows, and each against what it must find.

On one Gaussian with η = 1 an image is an affine map of all its noises (see tests/solvers/test_stochastic.py).
"""

import math

import pytest
import torch

from noisekit.cost import counted
from noisekit.errors import BadValue, NotSupported
from noisekit.methods import load_method
from noisekit.methods.dno import log_p
from noisekit.models import load_model
from noisekit.models.analytic import AnalyticModel
from noisekit.noise import NoiseSource
from noisekit.solvers import injected_deviation
from noisekit.testing import MODELS, MethodConformance

TINY = "rewards='clip_score:1', weights='tiny'"
WALKS = [
    f"fk(particles=3, strength=300.0, {TINY})",
    f"fk(particles=4, strength=100.0, potential='diff', adaptive=False, runs=3, {TINY})",
    f"fk(particles=3, strength=100.0, potential='add', {TINY})",
    f"das(particles=3, alpha=0.003, {TINY})",
    f"das(particles=3, alpha=0.01, runs=2, {TINY})",
    f"dno(steps=3, lr=0.05, orders=2, {TINY})",
    f"dno(steps=3, lr=0.05, noises='initial', regularisation=0.0, {TINY})",
    f"evosearch(populations='4 3 3 3 3', elites=1, {TINY})",
    f"evosearch(starts='1 3', populations='3 4 2', elites=2, mutation='marginal', {TINY})",
    f"rbf(evaluations=12, initial=3, {TINY})",
]
PROMPTS = ["a red circle", "two blue squares", "a green triangle above a cyan circle", "three yellow circles"]


def brightness(images, prompts):
    """Mean brightness, wanted higher for longer prompts: gates open for some samples and not for others."""
    wanted = torch.tensor([len(text) / 40 for text in prompts])
    return counted("reward", -((images.mean((1, 2, 3)) - wanted) ** 2))


def use(monkeypatch, reward):
    monkeypatch.setattr("noisekit.methods.rewarded.weighted_reward", lambda *_, **__: reward)


class TestLaws(MethodConformance):
    @pytest.fixture(autouse=True)
    def _reward(self, monkeypatch):
        use(monkeypatch, brightness)

    """Each on one of the two stochastic models, in turn."""

    @pytest.fixture(params=range(len(WALKS)), ids=WALKS)
    def number(self, request):
        return request.param

    @pytest.fixture
    def method(self, number):
        return load_method(WALKS[number])

    @pytest.fixture
    def model(self, number):
        stochastic = [settings for name, settings in MODELS.items() if "stochastic" in name]
        return AnalyticModel(**stochastic[number % 2], batch=5)


@pytest.mark.parametrize("spec", WALKS)
def test_gates_differ_between_the_samples_of_a_batch_and_the_score_is_no_worse(spec, monkeypatch):
    """One prompt whose reward decides at once beside one that is indifferent; each is as if alone."""

    def reward(images, prompts):
        steep = torch.tensor([30.0 if "red" in text else 1e-3 for text in prompts])
        return counted("reward", steep * images.mean((1, 2, 3)))

    use(monkeypatch, reward)
    model = AnalyticModel(steps=4, eta=1.0, batch=64)
    method = load_method(spec)
    both = method(model, PROMPTS[:2])
    for i in range(2):
        alone = method(model, PROMPTS[i])
        torch.testing.assert_close(both.noise[i], alone.noise[0], atol=1e-4, rtol=0)
        torch.testing.assert_close(both.images[i], alone.images[0], atol=1e-4, rtol=0)
    resamplings = both.trace.points[0].info.get("resamplings")
    if resamplings is not None and "adaptive=False" not in spec:
        assert resamplings[0] > resamplings[1] == 0
    standard = load_method("standard")(model, PROMPTS[:2])
    assert both.score[0] >= reward(standard.images, PROMPTS[:2])[0] - 1e-4


# --- DNO -------------------------------------------------------------------------------------------------------------


def linear(images, prompts):
    """⟨w, x_0⟩, ‖w‖ = 1, of latents x_0."""
    return ((images[:, :1] - 0.5) * 10).mean((1, 2, 3)) * images.shape[-1]


@pytest.mark.parametrize("path", ["diffusion", "flow"])
def test_the_gradient_reaches_each_noise_by_its_factor(path, monkeypatch):
    """‖∇_{ξ_k} R‖ = Γ_k, the factor with which ξ_k enters the image: nothing for the last step."""
    use(monkeypatch, linear)
    model = AnalyticModel(components=1, steps=6, eta=1.0, path=path, spread=0.3)
    method = load_method(f"dno(steps=1, lr=0.01, regularisation=0.0, {TINY})")
    result = method(model, PROMPTS[:2])
    grid, tau, factor, gammas = model.sampler_grid(6), model.width, 1.0, []
    for k in reversed(range(6)):
        v = injected_deviation(grid, k, 1.0)
        gammas.insert(0, factor * v)
        a, s = grid.a(k), grid.s(k)
        carried = math.sqrt(max(0, grid.s(k + 1) ** 2 - v**2))
        factor *= (grid.a(k + 1) * a * tau**2 + carried * s) / ((a * tau) ** 2 + s**2)
    length = torch.tensor(result.trace.points[0].info["gradient"])
    expected = math.sqrt(factor**2 + sum(gamma**2 for gamma in gammas))
    torch.testing.assert_close(length, torch.full((2,), expected), atol=1e-4, rtol=1e-4)
    # Adam's first step has the same length for every number that the reward hears of.
    source = NoiseSource(model.noise_shape, PROMPTS[:2], [0, 0])
    moved = result.injected - source.injected(6)
    torch.testing.assert_close(moved[:, :-1], torch.full_like(moved[:, :-1], 0.01), atol=1e-4, rtol=0)
    assert torch.equal(moved[:, -1], torch.zeros_like(moved[:, -1]))


def test_all_noises_reach_further_than_the_initial_one(monkeypatch):
    """At η = 1 what is injected decides nearly everything."""
    use(monkeypatch, linear)
    model = AnalyticModel(components=1, steps=10, eta=1.0, spread=0.3)
    settings = f"steps=20, lr=0.05, regularisation=0.0, {TINY}"
    first, everything = (
        load_method(f"dno(noises={which!r}, {settings})")(model, PROMPTS) for which in ("initial", "all")
    )
    start = torch.tensor(first.trace.points[0].score)
    assert ((everything.score - start) > 5 * (first.score - start)).all()
    assert first.injected is None


def test_normal_noise_is_at_the_bound_and_structure_is_not():
    noise = torch.randn(50, 256, generator=torch.Generator().manual_seed(0))
    assert log_p(noise).median() == pytest.approx(-2 * math.log(2))
    for structured in (noise + 1, noise * 2, noise[:, :128].repeat(1, 2).sort().values):
        assert log_p(structured).max() < -5


def test_the_regulariser_takes_structure_out(monkeypatch):
    """Without a reward a noise with a mean goes back to where normal noise is."""
    use(monkeypatch, lambda images, prompts: 0 * images.mean((1, 2, 3)))
    model = AnalyticModel(steps=2, eta=1.0, size=8)
    monkeypatch.setattr(NoiseSource, "initial", property(lambda self: self.draw(0) + 1.5))
    result = load_method(f"dno(steps=30, lr=0.05, orders=2, {TINY})")(model, PROMPTS[:1])
    likely = [point.info["likelihood"][0] for point in result.trace.points]
    assert likely[0] < -20
    assert likely[-1] > likely[0] / 4


def test_on_a_model_without_injected_noise_the_initial_one_moves():
    model = load_model("tiny-turbo", device="cpu")
    found = load_method("dno(steps=4, orders=5, rewards='hps:5')")(
        model, ["a red circle", "two green triangles"]
    )
    assert found.injected is None
    assert (found.score > torch.tensor(found.trace.points[0].score)).all()
    with pytest.raises(NotSupported, match="eta=1"):
        load_method("dno(noises='all', rewards='hps:5')")(model, ["a red circle"])


# --- EvoSearch -------------------------------------------------------------------------------------------------------


def test_the_published_schedules_cost_what_the_readme_says():
    sd, flux = AnalyticModel(steps=50, eta=1.0), AnalyticModel(steps=50, eta=1.0, path="flow")
    assert load_method(f"evosearch({TINY})").cost(sd).denoiser == 5000
    flux_schedule = "starts='5 20 30 40', populations='14 7 7 7 10'"
    assert load_method(f"evosearch({flux_schedule}, {TINY})").cost(flux).denoiser == 1465
    assert load_method("evosearch").resolved(AnalyticModel(steps=8, eta=1.0)).starts == "0 3 4 6"


@pytest.mark.parametrize("mutation", ["paper", "marginal"])
def test_generations_beat_as_many_independent_walks(mutation, monkeypatch):
    use(monkeypatch, linear)
    model = AnalyticModel(components=1, steps=10, eta=1.0, spread=0.3, size=2, batch=1000)
    many = [f"prompt {i}" for i in range(40)]
    spec = f"evosearch(starts='3 5 7 8 9', populations='24 12 12 12 12 12', elites=3, mutation={mutation!r}, {TINY})"
    found = load_method(spec)(model, many)
    calls = load_method(spec).cost(model).denoiser
    independent = load_method(f"fk(particles={round(calls / 10)}, strength=0.0, {TINY})")(model, many)
    assert (found.score - independent.score).mean() > 0.15
    best = torch.tensor([point.best for point in found.trace.points])
    assert (best.diff(dim=0) >= 0).all()
    grown = torch.tensor(found.trace.points[-1].info["injected_norm"]).mean() / 2  # of d = 4
    assert (grown > 1.1) == (mutation == "paper")  # which adds variance at every start


def test_elites_begin_anew_with_fresh_noise_from_where_they_were(monkeypatch):
    use(monkeypatch, linear)
    model = AnalyticModel(steps=4, eta=1.0)
    result = load_method(f"evosearch(starts='2', populations='3 1', elites=1, {TINY})")(model, PROMPTS)
    source = NoiseSource(model.noise_shape, PROMPTS, [0] * 4)
    walks = [source.particle(j) for j in range(4)]
    for i in range(4):
        parents = [torch.equal(result.noise[i], walk.initial[i]) for walk in walks[:3]]
        assert sum(parents) == 1
        parent = walks[parents.index(True)].injected(4)[i]
        assert torch.equal(result.injected[i, :2], parent[:2])
        assert any(
            torch.equal(result.injected[i, 2:], fresh[2:]) for fresh in (parent, walks[3].injected(4)[i])
        )


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("starts='0 20'", "2 starts"),
        ("starts='0 3 1 4'", "must not fall"),
        ("starts='0 1 2 9'", "below the 8 steps"),
        ("populations='4 0 1 1 1'", "1 or more"),
        ("populations='4, 3'", "whole numbers"),
        ("starts=''", "whole numbers"),
    ],
)
def test_schedules_that_cannot_be(settings, says):
    with pytest.raises(BadValue, match=says):
        load_method(f"evosearch({settings}, {TINY})")(AnalyticModel(steps=8, eta=1.0), PROMPTS)


# --- RBF -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["diffusion", "flow"])
def test_one_look_a_step_is_the_standard_walk(path, monkeypatch):
    use(monkeypatch, linear)
    model = AnalyticModel(steps=5, eta=1.0, path=path)
    found = load_method(f"rbf(evaluations=5, initial=1, {TINY})")(model, PROMPTS)
    standard = load_method("standard")(model, PROMPTS)
    torch.testing.assert_close(found.images, standard.images, atol=1e-5, rtol=0)


def test_more_looks_reach_higher(monkeypatch):
    use(monkeypatch, linear)
    model = AnalyticModel(components=1, steps=8, eta=1.0, path="flow", spread=0.3, batch=1000)
    many = [f"prompt {i}" for i in range(40)]
    few, more = (load_method(f"rbf(evaluations={e}, initial=4, {TINY})")(model, many).score for e in (11, 60))
    assert (more - few).mean() > 0.5


def test_what_a_step_does_not_need_is_left_to_later_ones(monkeypatch):
    """A reward that rises with every look: each step takes its first proposal, and the last one gets all that was saved."""
    looks = []

    def rising(images, prompts):
        looks.append(len(images))
        return torch.full((len(images),), float(len(looks)))

    use(monkeypatch, rising)
    model, steps = AnalyticModel(steps=5, eta=1.0), []
    transition = AnalyticModel.transition
    monkeypatch.setattr(
        AnalyticModel,
        "transition",
        lambda self, x, k, *rest: steps.append(k) or transition(self, x, k, *rest),
    )
    load_method(f"rbf(evaluations=20, initial=2, {TINY})")(model, PROMPTS[:1])
    assert steps == [0, 0, 1, 2, 3, *[4] * 15]
    steps.clear()
    use(monkeypatch, lambda images, prompts: torch.zeros(len(images)))  # nothing ever beats the first
    load_method(f"rbf(evaluations=20, initial=2, {TINY})")(model, PROMPTS[:1])
    assert steps == [0, 0, *[1] * 4, *[2] * 4, *[3] * 4, *[4] * 6]


def test_too_few_evaluations_and_a_single_step_are_refused():
    with pytest.raises(BadValue, match="6 at least"):
        load_method(f"rbf(evaluations=5, initial=3, {TINY})")(AnalyticModel(steps=4, eta=1.0), PROMPTS)
    with pytest.raises(NotSupported, match="without noise"):
        load_method(f"rbf({TINY})")(AnalyticModel(steps=1, eta=1.0), PROMPTS)
