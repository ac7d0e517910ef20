"""Runs that score when all images are made: the same results, with one metric's network in memory at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from torch import Tensor

from noisekit.comparison import run_plan
from noisekit.errors import BadValue
from noisekit.plan import load_plan
from noisekit.results import Run
from noisekit.rewards import Reward, loading
from tests.engine.alike import assert_alike
from tests.engine.toys import PROMPTS, SELECTION, CountingModel

METRICS = ["hps", "truth", "aesthetic"]


def run(store: Path, model: Any = None, **given: Any) -> Run:
    plan = {"models": [model or CountingModel()], "methods": [SELECTION], "prompts": {"texts": PROMPTS}}
    usual = {"seeds": 2, "metrics": METRICS, "weights": "tiny"}
    return run_plan(load_plan(plan | usual | given), store=store, progress=False)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rewards were in memory each time that one of them judged."""
    loading.release()
    judge, counts = Reward.judge, list[int]()

    def counting(self: Reward, images: Tensor, prompts: Any) -> Tensor:
        counts.append(loading._loaded.cache_info().currsize)
        return judge(self, images, prompts)

    monkeypatch.setattr(Reward, "judge", counting)
    return counts


def figures(done: Run) -> pd.DataFrame:
    frame = done.frame().sort_values(["method", "prompt", "seed"], ignore_index=True)
    return frame[["method", "prompt", "seed", "image", *METRICS]]


def test_scores_are_the_same_and_one_network_is_in_memory(tmp_path: Path, loaded: list[int]) -> None:
    usual = figures(run(tmp_path / "usual"))
    assert max(loaded) == 2
    loaded.clear()
    saving = figures(run(tmp_path / "saving", low_memory=True))
    assert loaded == [1] * len(loaded)
    assert_alike(usual, saving)


@pytest.mark.slow
def test_a_run_that_was_stopped_while_making_images_goes_on(tmp_path: Path, loaded: list[int]) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, CountingModel(stop_at=4), batch=2, low_memory=True)
    assert loaded == []
    done = run(tmp_path, batch=2, low_memory=True)
    assert len(done.frame()) == 12
    assert done.frame()[METRICS].notna().all(axis=None)
    assert len(done.failures()) == 0


def test_curves_score_on_the_way_and_cannot_wait() -> None:
    with pytest.raises(BadValue, match="leave one of them out"):
        load_plan({"models": "tiny", "methods": "cosine", "curves": True, "low_memory": True})
