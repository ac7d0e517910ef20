"""Methods around methods: what a wrapper runs, what it costs, and whose word decides."""

import dataclasses

import pytest
import torch

from noisekit.errors import BadValue, NotSupported
from noisekit.methods import load_method
from noisekit.methods.reno import ReNO
from noisekit.models.analytic import AnalyticModel
from noisekit.noise import NoiseSource
from noisekit.types import Budget

WEIGHTS = "rewards='clip_score:1', weights='tiny'"
COSINE = "cosine(steps=2, round_trip_steps=5, lr_per_element=0.05)"
RENO = f"reno(steps=4, lr=0.5, {WEIGHTS})"
PROMPTS = ["one", "two", "three"]


def darkness(images, prompts):
    """A stand-in reward: the darker the better."""
    return -images.mean((1, 2, 3))


@pytest.fixture(autouse=True)
def _reward(monkeypatch):
    monkeypatch.setattr("noisekit.methods.rewarded.weighted_reward", lambda *_, **__: darkness)


@pytest.fixture(scope="module")
def model():
    return AnalyticModel(steps=1, width=3.0)


def found(model, method):
    """The candidates of a whole search."""
    source = NoiseSource(model.noise_shape, PROMPTS, [0] * len(PROMPTS))
    return list(load_method(method).resolved(model).search(model, PROMPTS, source))


def test_a_stage_starts_from_the_best_noise_of_the_one_before(model):
    selection = "selection(candidates=6, round_trip_steps=5)"
    selected = load_method(selection)(model, PROMPTS).noise
    candidates = found(model, f"then({selection}, {RENO})")
    assert len(candidates) == 6 + 4
    assert torch.equal(candidates[5].noise, selected)
    assert torch.equal(candidates[6].noise, selected)
    assert not torch.equal(selected, load_method("standard")(model, PROMPTS).noise)


def test_the_last_stage_decides_what_is_kept(model):
    """Stability lies between −1 and 1 and darkness below 0: were they compared, the first stage would always win."""
    result = load_method(f"then({COSINE}, {RENO})")(model, PROMPTS)
    scores = [point.score for point in result.trace.points]
    assert scores[:3] == [None] * 3
    best = torch.tensor(scores[3:]).max(0)
    torch.testing.assert_close(result.score, best.values)
    candidates = found(model, f"then({COSINE}, {RENO})")[3:]
    for i, k in enumerate(best.indices.tolist()):
        torch.testing.assert_close(result.noise[i], candidates[k].noise[i])
    assert (result.score > torch.tensor(scores[3])).any()


@pytest.mark.parametrize("spec", [f"then({RENO})", f"then(standard, {RENO})", f"then({RENO}, standard)"])
def test_a_stage_beside_nothing_is_the_method_itself(model, spec):
    result, alone = load_method(spec)(model, PROMPTS), load_method(RENO)(model, PROMPTS)
    assert torch.equal(result.noise, alone.noise)
    assert torch.equal(result.images, alone.images)
    assert result.cost.calls == alone.cost.calls


@pytest.mark.parametrize("calls", range(1, 48))
def test_a_budget_of_calls_is_spent_from_the_first_stage_on(model, calls):
    """Three candidates of 10 calls, four of 3, and 1 reserved for the final image."""
    result = load_method(f"then({COSINE}, {RENO})")(model, PROMPTS, budget=Budget(calls=calls))
    expected = min(3, (calls - 1) // 10) + min(4, max(0, (calls - 31) // 3))
    assert len(result.trace) == expected
    assert result.cost.calls <= calls
    assert (result.stopped == "done") == (expected == 7)


def test_a_budget_of_calls_holds_where_runs_hold_searches_of_different_stages(model):
    """A run is 30 calls, 12, and no image; ReNO delivers it."""
    method = load_method(f"best_of(then({COSINE}, {RENO}), n=3, {WEIGHTS})")
    for calls, runs in ((42, 0), (43, 1), (84, 1), (85, 2), (1000, 3)):
        result = method(model, PROMPTS, budget=Budget(calls=calls))
        assert len(result.trace) == runs
        assert result.cost.calls <= calls
    assert method.cost(model).calls == 126


def test_a_stage_that_the_budget_cuts_is_planned_for_what_is_left(model):
    annealed = "cosine(steps=50, round_trip_steps=5, lr_per_element=0.05)"
    cut = load_method(f"then(selection(candidates=3, round_trip_steps=5), {annealed}, {RENO})")
    result = cut(model, PROMPTS, budget=Budget(candidates=9))
    whole = load_method(f"then(selection(candidates=3, round_trip_steps=5), {annealed.replace('50', '5')})")
    assert result.score is None  # ReNO never came to judge
    torch.testing.assert_close(result.noise, whole(model, PROMPTS).noise)


def test_every_run_and_stage_draws_random_numbers_of_its_own(model):
    search = f"random_search(steps=1, similarity=0.0, {WEIGHTS})"  # at cosine 0 a neighbour is the fresh noise itself
    source = NoiseSource(model.noise_shape, PROMPTS, [0] * 3)
    again = source.starting_at(source.draw(1), "run 1")
    nested = again.starting_at(again.initial, "stage 1")
    fresh = [s.step(0) for s in (source, again, nested)] + [s.draw(1) for s in (source, again, nested)]
    gram = torch.stack(fresh).flatten(1).corrcoef()
    assert (gram - torch.eye(6)).abs().max() < 0.6  # 48 numbers each: independent, not equal
    assert torch.equal(again.initial, source.draw(1))
    first, _, second = (c.noise for c in found(model, f"then({search}, {search})")[1:])
    assert not any(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    generators = [[g.initial_seed() for g in s.sampler_generators()] for s in (source, again, nested)]
    assert generators[0] == generators[1] == generators[2]


def test_the_first_run_of_best_of_is_the_methods_own_and_the_rest_start_elsewhere(model):
    one = load_method(f"best_of({RENO}, n=1, {WEIGHTS})")(model, PROMPTS)
    assert torch.equal(one.noise, load_method(RENO)(model, PROMPTS).noise)
    three = load_method(f"best_of({RENO}, n=3, {WEIGHTS})")(model, PROMPTS)
    assert (three.score >= one.score).all()
    assert (three.score > one.score).any()


def test_what_is_wrapped_resolves_too():
    model = AnalyticModel(steps=1)
    settings = {"reno": {"steps": 7, "lr": 0.5, "rewards": "clip_score:1", "weights": "tiny"}}
    model.card = dataclasses.replace(model.card, methods=settings)
    resolved = load_method(f"best_of(then(selection(candidates=2), reno(lr=0.25)), n=2, {WEIGHTS})").resolved(
        model
    )
    assert str(resolved) == (
        "best_of(then(selection(round_trip_steps=10, candidates=2), reno(steps=7, lr=0.25, rewards='clip_score:1', "
        "weights='tiny')), n=2, rewards='clip_score:1', weights='tiny')"
    )
    assert load_method(str(resolved)).resolved(model) == resolved


def test_a_wrapper_depends_on_all_that_it_runs(model, monkeypatch):
    specs = (f"then({COSINE}, {RENO})", f"best_of({RENO}, n=2, {WEIGHTS})")
    wrappers = [load_method(spec).resolved(model) for spec in specs]
    before = [wrapper.dependencies(torch.device("cpu")) for wrapper in wrappers]
    identity = load_method(RENO).resolved(model).dependencies(torch.device("cpu"))["rewards"]
    assert before[0]["wrapped"][1]["rewards"] == before[1]["wrapped"][0]["rewards"] == identity
    monkeypatch.setattr(ReNO, "version", ReNO.version + 1)
    after = [wrapper.dependencies(torch.device("cpu")) for wrapper in wrappers]
    assert all(a != b for a, b in zip(before, after, strict=True))
    both = load_method(f"then(reno(rewards='aesthetic:1', weights='tiny'), best_of(n=2, {WEIGHTS}))")
    assert both.optimised == {"aesthetic", "clip_score"}
    assert both.objective == "reward"
    assert load_method(f"then({RENO}, {COSINE})").objective == "inversion stability"


def test_a_wrapper_needs_what_its_methods_need():
    many_steps = AnalyticModel(steps=10)
    with pytest.raises(NotSupported, match=r"'then'.*one-step"):
        load_method(f"then({COSINE}, {RENO})")(many_steps, PROMPTS)
    with pytest.raises(NotSupported, match=r"'best_of'.*one-step"):
        load_method(f"best_of({RENO}, n=2, {WEIGHTS})")(many_steps, PROMPTS)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("then", "no stages"),
        ("then(cosin)", "did you mean 'cosine'"),
        ("best_of(cosine(stepz=3))", "did you mean 'steps'"),
        ("then(cosine(steps=0))", "steps=0.*at least 1"),
        ("best_of(standard, cosine)", r"repeats one method.*best_of\(then\(standard, cosine\)\)"),
        ("cosine(standard)", "'cosine' wraps no other method.*'standard'"),
        ("then(cosine, steps=3)", "unknown setting of method 'then'"),
        ("best_of(method=standard)", "does not read"),
    ],
)
def test_bad_wrappers_get_one_sentence(text, says):
    with pytest.raises(BadValue, match=says):
        load_method(text)
