"""Each method reaches the known optimum of its objective on the analytic model, and its gradient is the gradient."""

import pytest
import torch

from noisekit.methods import load_method
from noisekit.methods.cosine import closed_form_gradient
from noisekit.methods.round_trip import cosine_similarity
from noisekit.models.analytic import AnalyticModel
from noisekit.noise import NoiseSource, chi_penalty, published_noise

PROMPTS = ["one", "two", "three"]


@pytest.fixture(scope="module")
def model():
    return AnalyticModel(components=2)


def stability(model, method, noise):
    trip = load_method(method).resolved(model).round_trip(model, PROMPTS)
    return cosine_similarity(noise, trip(noise))


@pytest.mark.parametrize(("pick", "best"), [("stable", max), ("unstable", min)])
@pytest.mark.parametrize("pool", ["own", "paper"])
def test_selection_takes_the_extreme_of_its_pool(model, pick, best, pool):
    spec = f"selection(candidates=12, pick={pick!r}, pool={pool!r})"
    result = load_method(spec)(model, PROMPTS)
    source = NoiseSource(model.noise_shape, PROMPTS, [0] * 3)
    pools = [
        source.draw(k) if pool == "own" else published_noise(k, source.shape).repeat(3, 1, 1, 1)
        for k in range(12)
    ]
    table = torch.stack([stability(model, spec, noise) for noise in pools])
    for i in range(3):
        k = int(best(range(12), key=lambda k, i=i: table[k, i]))
        assert torch.equal(result.noise[i], pools[k][i])


@pytest.mark.parametrize(
    ("spec", "reaches"),
    [
        ("cosine(update='fixed_point', steps=60)", 0.9999),
        ("cosine(steps=300, lr_per_element=0.5, momentum=0.9, renormalise=True)", 0.999),
    ],
)
def test_cosine_reaches_a_noise_that_survives_the_round_trip(model, spec, reaches):
    result = load_method(spec)(model, PROMPTS)
    first = torch.tensor(result.trace.points[0].score)
    assert (result.score > reaches).all()
    assert (first < 0.99).all()
    torch.testing.assert_close(stability(model, spec, result.noise), result.score)


def test_the_closed_form_gradient_is_autograds_with_the_recovered_noise_held():
    generator = torch.Generator().manual_seed(0)
    noise, recovered = (torch.randn(3, 2, 4, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    leaf = noise.clone().requires_grad_()
    (expected,) = torch.autograd.grad((1 - cosine_similarity(leaf, recovered)).sum(), leaf)
    ours = closed_form_gradient(noise, recovered, cosine_similarity(noise, recovered))
    torch.testing.assert_close(ours, expected)
    dots = (ours * noise).flatten(1).sum(1)
    torch.testing.assert_close(dots, torch.zeros(3, dtype=torch.float64), atol=1e-12, rtol=0)


def test_the_backpropagated_gradient_agrees_with_finite_differences(model):
    method = load_method("cosine(update='backprop', round_trip_steps=4)").resolved(model)
    noise = NoiseSource(model.noise_shape, PROMPTS, [0] * 3).initial
    trip = method.round_trip(model, PROMPTS)
    _, _, gradient = method._evaluate(trip, noise)
    direction = torch.randn(noise.shape, generator=torch.Generator().manual_seed(5))

    def loss(x):
        return 1 - cosine_similarity(x.double(), trip(x).double())

    slope = (loss(noise + 1e-2 * direction) - loss(noise - 1e-2 * direction)) / 2e-2
    torch.testing.assert_close((gradient * direction).flatten(1).sum(1).double(), slope, atol=2e-3, rtol=0.05)


def test_the_last_noise_is_kept_where_it_is_asked_for_and_the_most_stable_one_else(model):
    spec = "cosine(steps=6, round_trip_steps=4, lr_per_element=1.0, momentum=1.0, renormalise=True{})"  # which overshoots
    best, last = (load_method(spec.format(more))(model, PROMPTS) for more in ("", ", keep='last'"))
    stable = torch.tensor([point.info["stability"] for point in last.trace.points])
    assert (stable[-1] < stable.max(0).values).any()
    trip = load_method(spec.format("")).resolved(model).round_trip(model, PROMPTS)
    for result, expected in ((best, stable.max(0).values), (last, stable[-1])):
        torch.testing.assert_close(cosine_similarity(result.noise, trip(result.noise)), expected)
    assert last.score is None


def test_the_round_trip_may_take_the_steps_of_the_sampler(model):
    (own,) = {len(model.sampler_grid(model.card.steps))}
    same = [f"cosine(steps=2, round_trip_steps={steps})" for steps in ("'sampler'", own)]
    first, second = (load_method(spec)(model, PROMPTS) for spec in same)
    assert torch.equal(first.noise, second.noise)
    assert load_method(same[0]).cost(model) == load_method(same[1]).cost(model)


def test_the_gradient_step_is_the_papers():
    """Two steps of Algorithm 2 written out: momentum 0.5, cosine annealing, no renormalisation."""
    model = AnalyticModel(components=1)
    spec = "cosine(steps=2, lr_per_element=0.1, momentum=0.5)"
    result = load_method(spec)(model, PROMPTS)
    trip = load_method(spec).resolved(model).round_trip(model, PROMPTS)
    noise, lr = result.initial, 0.1 * result.initial[0].numel()
    g0 = closed_form_gradient(noise, trip(noise), cosine_similarity(noise, trip(noise)))
    noise = noise - lr * g0
    g1 = closed_form_gradient(noise, trip(noise), cosine_similarity(noise, trip(noise)))
    noise = noise - lr * 0.5 * (0.5 * g0 + g1)
    torch.testing.assert_close(
        cosine_similarity(noise, trip(noise)), torch.tensor(result.trace.points[-1].score)
    )
    norm = noise.flatten(1).norm(dim=1)
    torch.testing.assert_close(norm, torch.tensor(result.trace.points[-1].info["norm"]))
    assert (
        norm > result.initial.flatten(1).norm(dim=1)
    ).all()  # the gradient is orthogonal, so the norm grows


def target_reward(images, prompts):
    """Minus the squared distance to a per-prompt grey level: its optimum over images is known."""
    levels = torch.tensor([0.4 + 0.05 * len(text) for text in prompts]).view(-1, 1, 1, 1)
    return -((images - levels) ** 2).sum((1, 2, 3))


@pytest.fixture
def one_step(monkeypatch):
    monkeypatch.setattr("noisekit.methods.rewarded.weighted_reward", lambda *_, **__: target_reward)
    return AnalyticModel(components=1, steps=1, width=3.0)  # wide, so that one step hears the noise


@pytest.mark.parametrize("ball", ["nesterov", "heavy"])
def test_reno_reaches_the_reward_maximum(one_step, ball):
    spec = (
        f"reno(steps=400, lr=2.0, regularisation=0.0, rewards='clip_score:1', weights='tiny', ball={ball!r})"
    )
    result = load_method(spec)(one_step, PROMPTS)
    first = torch.tensor(result.trace.points[0].score)
    assert (result.score > -1e-3).all()
    assert (first < -0.1).all()
    torch.testing.assert_close(target_reward(result.images, PROMPTS), result.score)


def test_the_chi_penalty_is_least_on_the_shell_of_gaussian_noise():
    direction = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    direction = direction / direction.norm()
    lengths = torch.linspace(10, 22, 1201)
    penalties = [chi_penalty(direction * length).item() for length in lengths]
    assert lengths[min(range(1201), key=penalties.__getitem__)] == pytest.approx((256 - 1) ** 0.5, abs=0.02)


def test_the_best_image_is_kept_by_the_reward_without_the_regulariser(one_step):
    """A regulariser that shouts must not decide which image is delivered."""
    spec = "reno(steps=30, lr=2.0, regularisation=100.0, rewards='clip_score:1', weights='tiny')"
    result = load_method(spec)(one_step, PROMPTS)
    traced = torch.tensor([point.score for point in result.trace.points])
    torch.testing.assert_close(result.score, traced.max(0).values)
