"""Laws of every method: those of the conformance suite, and that the noise moves, seconds are kept, observers are free."""

import pytest
import torch

from noisekit.cost import counted
from noisekit.errors import BadValue, NotSupported
from noisekit.methods import load_method
from noisekit.models import load_model
from noisekit.models.analytic import AnalyticModel
from noisekit.rewards import load_reward
from noisekit.testing import MethodConformance
from noisekit.types import Budget

SEARCHES = [
    "selection(candidates=6, round_trip_steps=5)",
    "selection(candidates=6, round_trip_steps=5, pick='unstable', evaluate_at='current')",
    "selection(candidates=6, round_trip_steps=5, pool='paper', solver='dpm')",
    "cosine(steps=5, round_trip_steps=5, lr_per_element=0.05)",
    "cosine(steps=5, round_trip_steps=5, lr_per_element=0.05, renormalise=True, solver='euler')",
    "cosine(steps=5, round_trip_steps=5, update='fixed_point')",
    "cosine(steps=5, round_trip_steps=5, lr_per_element=0.05, update='backprop')",
    "reno(steps=6, lr=0.5, rewards='clip_score:1', weights='tiny')",
    "reno(steps=6, lr=0.5, rewards='clip_score:1', weights='tiny', ball='heavy', through_steps=1)",
    "random_search(steps=6, rewards='clip_score:1', weights='tiny')",
    "zero_order(steps=3, neighbours=3, rewards='clip_score:1', weights='tiny')",
    "zero_order(steps=4, stay=True, similarity=0.8, rewards='clip_score:1', weights='tiny')",
    "pcn(steps=6, strength=100.0, rewards='clip_score:1', weights='tiny')",
    "trs(warm_up=3, rounds=2, proposals=3, regions=2, rewards='clip_score:1', weights='tiny')",
    "ses(generations=2, samples=3, elites=2, level=1, rewards='clip_score:1', weights='tiny')",
    "best_of(n=7, rewards='clip_score:1', weights='tiny')",
    "best_of(cosine(steps=2, round_trip_steps=5, lr_per_element=0.05), n=4, rewards='clip_score:1', weights='tiny')",
    "best_of(reno(steps=3, lr=0.5, rewards='clip_score:1', weights='tiny'), n=4, rewards='clip_score:1', weights='tiny')",
    "then(cosine(steps=2, round_trip_steps=5), reno(steps=6, lr=0.5, rewards='clip_score:1', weights='tiny'))",
    "then(reno(steps=3, lr=0.5, rewards='clip_score:1', weights='tiny'), "
    "best_of(random_search(steps=2, rewards='clip_score:1', weights='tiny'), n=4, rewards='clip_score:1', weights='tiny'), "
    "selection(candidates=6, round_trip_steps=5))",
]
PROMPTS = ["a red circle", "two blue squares", "a green triangle above a cyan circle", "three yellow circles"]


def brightness(images, prompts):
    """A stand-in reward with a text: mean brightness, wanted higher for longer prompts."""
    wanted = torch.tensor([len(text) / 40 for text in prompts])
    return counted("reward", -((images.mean((1, 2, 3)) - wanted) ** 2), load_reward("clip_score", "tiny"))


@pytest.fixture(autouse=True)
def _reward(monkeypatch):
    monkeypatch.setattr("noisekit.methods.rewarded.weighted_reward", lambda *_, **__: brightness)


@pytest.fixture(scope="module")
def model():
    return AnalyticModel(steps=1, batch=5)


class TestLaws(MethodConformance):
    """The laws that a third party's method is held to hold for all of ours."""

    @pytest.fixture(params=["standard", "pink", "low_band(level=1)", *SEARCHES])
    def method(self, request):
        return load_method(request.param)

    @pytest.fixture
    def model(self, model):
        return model


@pytest.mark.parametrize("spec", SEARCHES)
def test_the_noise_moves_and_the_score_rises(model, spec):
    result = load_method(spec)(model, PROMPTS)
    moved = (result.noise - result.initial).flatten(1).norm(dim=1)
    assert (moved > 1e-3).float().mean() >= 0.75
    best = torch.tensor([point.best for point in result.trace.points if point.best is not None])
    assert (best[-1] > best[0]).float().mean() >= 0.75


@pytest.fixture
def clock(monkeypatch):
    """A clock that only the denoiser moves, by `clock.call` seconds a sample: nothing depends on the machine."""

    class Clock:
        now, call = 0.0, 0.001

    predict = AnalyticModel.predict

    def timed(self, x, *rest):
        Clock.now += Clock.call * len(x)
        return predict(self, x, *rest)

    monkeypatch.setattr(AnalyticModel, "predict", timed)
    monkeypatch.setattr("noisekit.cost.time.perf_counter", lambda: Clock.now)
    return Clock


ENDLESS = "cosine(steps=100000, round_trip_steps=20)"


def test_a_budget_of_seconds_is_kept(clock):
    result = load_method(ENDLESS)(AnalyticModel(steps=20), PROMPTS, budget=Budget(seconds=0.31))
    assert result.stopped == "budget"
    # 310 calls of a millisecond: 20 for the image, and 40 for each of the 7 candidates that still fit
    assert result.cost.seconds == pytest.approx(0.3)
    assert len(result.trace) == 7


def test_a_budget_of_seconds_is_kept_when_the_machine_slows_down(clock):
    """Seven candidates were planned; calls then take three times as long, and the image is still due in time."""

    def slow_down(_moment):
        clock.call = 0.003

    endless = load_method(ENDLESS)
    result = endless(AnalyticModel(steps=20), PROMPTS, budget=Budget(seconds=0.31), observe=slow_down)
    assert result.stopped == "budget"
    assert 1 < len(result.trace) < 7
    assert result.cost.seconds <= 0.31


def test_the_least_budget_still_gives_the_standard_image(model):
    standard = load_method("standard")(model, PROMPTS)
    result = load_method(SEARCHES[0])(model, PROMPTS, budget=Budget(calls=0.5))
    assert torch.equal(result.images, standard.images)
    assert result.score is None


def test_annealing_spans_the_steps_that_the_budget_allows(model):
    method = load_method("cosine(steps=50, round_trip_steps=5, lr_per_element=0.05)")
    cut = method(model, PROMPTS, budget=Budget(candidates=11))
    planned = load_method("cosine(steps=10, round_trip_steps=5, lr_per_element=0.05)")(model, PROMPTS)
    torch.testing.assert_close(cut.noise, planned.noise)


def test_an_observer_sees_every_candidate_and_costs_nothing(model):
    seen = []

    def observe(moment):
        model.sample(moment.best.noise, model.encode(PROMPTS))
        seen.append((moment.step, moment.best.score.mean().item()))

    method = load_method(SEARCHES[3])
    assert method(model, PROMPTS, observe=observe).cost.denoiser == method(model, PROMPTS).cost.denoiser
    assert [step for step, _ in seen] == list(range(6))
    assert [s for _, s in seen] == sorted(s for _, s in seen)


@pytest.mark.parametrize("text", [SEARCHES[0], SEARCHES[3], SEARCHES[7], SEARCHES[15], SEARCHES[18]])
def test_whoever_watches_sees_the_image_and_its_cost_and_may_end_the_search(model, text):
    """Ended after k candidates it is what a budget of k candidates gives, where it is not annealed for them."""
    method, moments = load_method(text), []

    def look(moment):
        moments.append((moment.step, moment.of, moment.images(), moment.best, moment.cost))
        return moment.step == 2

    result = method(model, PROMPTS, observe=look)
    assert result.stopped == "asked" and len(result.trace) == 3
    steps, of, images, best, costs = zip(*moments)
    assert steps == (0, 1, 2) and set(of) == {method.resolved(model).horizon}
    assert torch.equal(images[-1], result.images) and torch.equal(best[-1].noise, result.noise)
    assert costs == tuple(point.cost for point in result.trace.points)
    if method.resolved(model).anytime(3):
        cut = method(model, PROMPTS, budget=Budget(candidates=3))
        assert torch.equal(cut.images, result.images) and cut.cost.calls == result.cost.calls


def test_a_method_says_what_its_model_lacks():
    many_steps = AnalyticModel(steps=10)
    with pytest.raises(NotSupported, match=r"'reno'.*one-step.*'analytic'"):
        load_method("reno(weights='tiny')")(many_steps, PROMPTS)
    many_steps.markers = frozenset()
    with pytest.raises(NotSupported, match="invertible"):
        load_method("selection")(many_steps, PROMPTS)


@pytest.mark.parametrize(
    ("prompts", "seeds", "says"),
    [
        ([], [0], "no prompts"),
        (["a", "  "], [0], "'  '"),
        (["a", 3], [0], "3"),
        (["x" * 10_000], [0], "10000 characters"),
        (["a"], [], "no seeds"),
        (["a"], [-1], "-1"),
        (["a"], [1.5], "1.5"),
    ],
)
def test_bad_prompts_and_seeds(model, prompts, seeds, says):
    with pytest.raises(BadValue, match=says):
        load_method("standard")(model, prompts, seeds=seeds)


def test_reno_takes_the_papers_rewards_where_none_are_given(model):
    resolved = load_method("reno(weights='published')").resolved(model)
    assert resolved.rewards == "hps:5 + image_reward:1 + clip_score_h14:0.01 + pick_score:0.05"
    assert resolved.optimised == {"hps", "image_reward", "clip_score_h14", "pick_score"}
    assert resolved.step_cost(model).reward == 4


@pytest.mark.parametrize(
    "spec", ["best_of(n=9)", "zero_order(steps=9, neighbours=1)", "random_search(steps=9)"]
)
def test_a_budget_keeps_no_room_for_a_final_image_that_the_search_brings(spec):
    model = load_model("tiny", device="cpu", steps=1)
    spent = load_method(spec)(model, ["a red circle"], budget=Budget(calls=6)).cost
    assert spent.calls == 6  # three images of two calls each
