"""Curves: what a search would have delivered at its checkpoints is what it delivers under that budget, and costs as much."""

from __future__ import annotations

import warnings

import pytest
import torch

from noisekit.comparison import compare
from noisekit.engine.checkpoints import is_checkpoint
from noisekit.engine.model_cache import ModelCache
from noisekit.engine.resolve import resolve
from noisekit.methods import load_method
from noisekit.metrics import Evaluator
from noisekit.plan.plan import load_plan
from noisekit.store.png import read_image
from noisekit.types import COUNTED, Budget
from tests.engine.toys import PROMPTS, CountingModel

ROUND = "round_trip_steps=2"
REWARD = "rewards='brightness', weights='tiny'"
SEARCHES = [
    f"selection(candidates=6, {ROUND})",
    f"cosine(steps=5, {ROUND}, update='fixed_point')",
    f"best_of(n=6, {REWARD})",
    f"best_of(selection(candidates=3, {ROUND}), n=5, {REWARD})",
    f"random_search(steps=5, {REWARD})",
    f"zero_order(steps=5, neighbours=2, {REWARD})",
    f"then(selection(candidates=3, {ROUND}), best_of(n=4, {REWARD}))",
    f"then(best_of(n=3, {REWARD}), selection(candidates=3, {ROUND}))",
]


def run(folder, methods, **options):
    given = {"prompts": PROMPTS, "seeds": 2, "metrics": ["brightness"], "progress": False, "curves": True}
    return compare(CountingModel(), methods, store=folder, **given | options)


@pytest.mark.parametrize(("batch", "searches"), [(4, SEARCHES), (1, SEARCHES[:3:2])])
def test_a_checkpoint_is_the_search_under_that_budget(tmp_path, brightness, batch, searches):
    """Whatever the batch: a search that judges several candidates at once spends on all of them before the first is seen."""
    done = run(tmp_path / "store", searches, batch=batch)
    traces = done.traces().set_index(["method", "prompt", "seed"]).sort_index()
    judge, model = Evaluator(["brightness"]), CountingModel()
    for spec in searches:
        method = load_method(spec)
        own = traces.loc[str(method.resolved(model))].dropna(subset=["metric_brightness"])
        assert set(own["step"]) == {0, 1, 4}
        for step, points in own.groupby("step"):
            alone = method(model, PROMPTS, seeds=[0, 1], budget=Budget(candidates=step + 1))
            expected = judge.scores(alone.images, alone.prompts)["brightness"]
            keys = zip(alone.prompts, alone.seeds, strict=True)
            assert [points.loc[key, "metric_brightness"] for key in keys] == pytest.approx(expected, abs=1e-5)
            for network in COUNTED:
                assert points[f"calls_{network}"].tolist() == [getattr(alone.cost, network)] * 6


def test_an_annealed_search_has_no_checkpoints_but_its_stages_after_have(tmp_path, brightness):
    annealed = f"cosine(steps=5, {ROUND})"
    then = f"then(cosine(steps=2, {ROUND}), best_of(n=4, {REWARD}))"
    traces = run(tmp_path / "store", [annealed, then]).traces()
    seen = traces[traces["metric_brightness"].notna()] if "metric_brightness" in traces else traces.iloc[:0]
    (method,) = set(seen["method"])
    assert method.startswith("then(")
    assert set(seen["step"]) == {4}


def test_several_budgets_are_several_runs_of_annealed_searches_only(tmp_path, brightness):
    methods = ["standard", f"selection(candidates=6, {ROUND})", f"cosine(steps=5, {ROUND})"]
    budgets = [Budget(calls=10), Budget(calls=26), Budget(calls=18)]
    found = {}
    for curves in (True, False):
        plan = load_plan(
            {
                "models": CountingModel(),
                "methods": methods,
                "budget": budgets,
                "curves": curves,
                "metrics": ["truth"],
            }
        )
        jobs = resolve(plan, tmp_path, strict=True, cache=ModelCache()).jobs
        found[curves] = {(job.method.name, job.budget.calls) for job in jobs}
    assert found[True] == {
        ("standard", None),
        ("selection", 26),
        *(("cosine", calls) for calls in (10, 18, 26)),
    }
    assert found[False] == found[True] | {("selection", 10), ("selection", 18)}


def test_curves_cost_a_method_nothing_and_leave_its_images_alone(tmp_path, brightness):
    method = SEARCHES[0]
    watched, alone = (run(tmp_path / name, method, curves=name == "yes") for name in ("yes", "no"))
    one, other = watched.frame(), alone.frame()
    spent = ["calls", *(f"calls_{network}" for network in COUNTED)]
    assert one[spent].equals(other[spent])
    for a, b in zip(one["image"], other["image"], strict=True):
        assert torch.equal(read_image(watched.folder / a), read_image(alone.folder / b))
    assert "metric_brightness" not in alone.traces()


def test_images_that_were_made_without_curves_are_told(tmp_path, brightness):
    run(tmp_path / "store", SEARCHES[0], curves=False)
    with pytest.warns(UserWarning, match=r"6 images were made without curves by selection\("):
        run(tmp_path / "store", SEARCHES[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(tmp_path / "other", SEARCHES[0])
        run(tmp_path / "other", SEARCHES[0])


def test_checkpoints_are_geometric():
    assert [n for n in range(1, 300) if is_checkpoint(n)] == [1, 2, 5, 10, 20, 50, 100, 200]
