"""The search over a method's settings: it finds a known optimum, at equal cost, and goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import noisekit as nk
from noisekit import registry
from noisekit.comparison import run_search
from noisekit.errors import BadValue
from noisekit.methods import NoiseMethod
from noisekit.methods.parameters import parameter
from noisekit.models.base import Model
from noisekit.noise import NoiseSource
from noisekit.plan import load_plan
from noisekit.plan.search import Range, WholeRange
from noisekit.store.store import Store
from noisekit.types import Candidate, Cost
from tests.engine.toys import CountingModel

pytest.importorskip("optuna")

PROMPTS = [f"prompt {i}" for i in range(8)]


@dataclass(frozen=True)
class Shifted(NoiseMethod):
    """A noise that is the brighter the nearer `x` is to 3; one candidate a step, each at the price of a sample."""

    x: float | None = parameter("where", default=0.0, at_least=0, at_most=100)
    steps: int | None = parameter("candidates", default=1, at_least=1)

    name = "shifted"

    @property
    def horizon(self) -> int:
        assert self.steps is not None
        return self.steps

    def step_cost(self, model: Model) -> Cost:
        return model.sample_cost()

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        assert self.x is not None
        for _ in range(self.horizon):
            model.sample(source.initial, model.encode(prompts))
            yield Candidate(torch.full_like(source.initial, 3 - abs(self.x - 3.0)))


class Linear(CountingModel):
    """Latents are the noise; images are the latents, linearly."""

    def sample(self, noise: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        super().sample(noise, *_, **__)  # counted as usual
        return noise


@pytest.fixture(autouse=True)
def shifted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.METHODS, "shifted", "tests.comparison.test_search:Shifted")  # type: ignore[arg-type]


def plan(model: Any = None, trials: int = 6, **search: Any) -> nk.Plan:
    over = {"x": {"low": 0, "high": 12}}
    usual = {"method": "shifted", "over": over, "metric": "brightness", "trials": trials, "calls": 8}
    return load_plan(
        {
            "models": [model or Linear()],
            "prompts": {"texts": PROMPTS},
            "seeds": 1,
            "metrics": ["truth"],
            "weights": "tiny",
            "search": usual | search,
        }
    )


def test_a_search_finds_the_optimum_and_judges_it_on_other_prompts(tmp_path: Path, brightness: Path) -> None:
    store = tmp_path / "store"
    found = run_search(plan(trials=14), store=store, progress=False)
    far = [abs(nk.load_method(method).x - 3) for method in found.trials["method"]]  # type: ignore[attr-defined]
    assert len(far) == 14
    assert sum(far[10:]) / 4 < sum(far[:10]) / 10  # the first ten are drawn at random
    best = found.trials.loc[found.trials["value"].idxmax()]
    assert str(found.best) == best["method"]
    assert abs(found.best.x - 3) < 0.75  # type: ignore[attr-defined]
    assert found.judged["n_prompts"] == 4
    low, difference, high = (found.judged[f"brightness_{name}"] for name in ("low", "difference", "high"))
    assert 0 < low <= difference <= high
    rows = pd.DataFrame(Store.read(store).lines("rows"))
    searched, judged = set(PROMPTS[::2]), set(PROMPTS[1::2])
    own = rows[rows["method"] == str(found.best)]
    assert (own["budget_calls"] == 8).all()
    assert set(own["prompt"]) == searched | judged
    others = rows[rows["method"].str.startswith("shifted") & (rows["method"] != str(found.best))]
    assert set(others["prompt"]) == searched
    trials = rows[rows["method"].str.startswith("shifted")]
    assert (trials["calls"] <= 8).all()
    assert trials.groupby("method")["calls"].first().nunique() == 1  # all at the same cost


def test_trials_are_held_to_denoiser_equivalents(tmp_path: Path, brightness: Path) -> None:
    asked = plan(trials=2, method="shifted(steps=50)", calls=None, equivalents=12)
    found = run_search(asked, store=tmp_path / "store", progress=False)
    assert (found.trials["equivalents"] <= 12).all()
    assert (found.trials["calls"] >= 8).all()  # and they are used
    assert (
        pd.DataFrame(Store.read(tmp_path / "store").lines("rows"))["budget_equivalents"].dropna() == 12
    ).all()


def test_a_stopped_search_comes_back_to_where_it_was(tmp_path: Path, brightness: Path) -> None:
    whole = run_search(plan(trials=3), store=tmp_path / "whole", progress=False)
    model = Linear(stop_at=5)
    with pytest.raises(KeyboardInterrupt):
        run_search(plan(model, trials=3), store=tmp_path / "store", progress=False)
    resumed = Linear()
    found = run_search(plan(resumed, trials=3), store=tmp_path / "store", progress=False)
    pd.testing.assert_frame_equal(found.trials, whole.trials)
    assert found.best == whole.best
    again = Linear()
    run_search(plan(again, trials=3), store=tmp_path / "store", progress=False)
    assert again.batches == []
    more = run_search(plan(again, trials=4), store=tmp_path / "store", progress=False)
    pd.testing.assert_frame_equal(more.trials.head(3), whole.trials)
    assert again.batches != []


@pytest.mark.filterwarnings("ignore:.*failed")
def test_a_trial_that_fails_is_passed_over(
    tmp_path: Path, brightness: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = Shifted.search

    def fragile(self: Shifted, *given: Any) -> Iterator[Candidate]:
        assert self.x is not None
        if self.x > 7:
            raise ValueError("too far")
        yield from search(self, *given)

    monkeypatch.setattr(Shifted, "search", fragile)
    found = run_search(plan(trials=6), store=tmp_path / "store", progress=False)
    assert found.trials["value"].isna().any()
    assert found.best.x <= 7  # type: ignore[attr-defined]
    monkeypatch.setattr(Shifted, "search", lambda *_: iter([1 / 0]))
    with pytest.raises(BadValue, match="all 2 trials failed"):
        run_search(plan(trials=2), store=tmp_path / "none", progress=False)


def test_what_cannot_be_searched_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match="no key 'search'"):
        run_search(load_plan({"models": "tiny", "methods": "cosine"}), store=tmp_path)
    single = load_plan(
        {
            "models": [Linear()],
            "prompts": {"texts": ["one"]},
            "search": {
                "method": "shifted",
                "over": {"x": {"low": 0, "high": 6}},
                "metric": "truth",
                "trials": 1,
                "calls": 8,
            },
        }
    )
    with pytest.raises(BadValue, match="two prompts or more"):
        run_search(single, store=tmp_path)
    with pytest.raises(BadValue, match="run_search"):
        nk.run_plan(single, store=tmp_path)


def test_values_are_written_short_and_stay_in_range() -> None:
    assert Range(low=0.5, high=10).value(1.23456789) == 1.235
    assert Range(low=0.5, high=1.23456).value(1.23456) == 1.23456
    assert Range(low=1.23449, high=2).value(1.23449) == 1.23449
    assert WholeRange(low=1, high=9).value(4) == 4
    assert isinstance(WholeRange(low=1, high=9).value(4), int)
