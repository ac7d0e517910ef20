"""A run that is killed again and again ends with the rows of one that was left alone, and so do its shards."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from noisekit.comparison import run_plan
from noisekit.plan import load_plan
from noisekit.plan.shard import Shard
from noisekit.results.run import Run
from noisekit.store.store import Store
from tests.engine.alike import assert_alike

#: 200 cells, a few milliseconds each.
PLAN: dict[str, Any] = {
    "models": ["tiny"],
    "methods": ["inversion"],
    "prompts": "tiny",
    "limit": 50,
    "seeds": 2,
    "metrics": ["truth", "clip_score"],
    "settings": {"steps": 1},
    "batch": 8,
}
CELLS = 200
KILLS = 4
#: What depends on the moment and the machine.
LOOSE = ["seconds", "batch", "peak_memory"]


def table(run: Run) -> pd.DataFrame:
    frame = run.frame().drop(columns=LOOSE)
    return frame.sort_values(["method", "prompt", "seed"], ignore_index=True)


def assert_once(store: Path) -> None:
    """Every image and every score is in the files, and none is there twice."""
    opened = Store.read(store)
    ids, scores = (
        [row[key] for row in opened.lines(kind)] for kind, key in (("rows", "id"), ("scores", "score_id"))
    )  # type: ignore[arg-type]
    assert len(ids) == len(set(ids)) == CELLS
    assert len(scores) == len(set(scores)) == CELLS * len(PLAN["metrics"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """An unbroken run."""
    return table(run_plan(load_plan(PLAN), store=tmp_path_factory.mktemp("whole"), progress=False))


def killed(store: Path, moment: float) -> bool:
    """Run the plan in a process that is killed so many seconds after its first row; whether it was still at it."""

    def child() -> None:
        torch.set_num_threads(1)  # the threads of the parent did not come along
        run_plan(load_plan(PLAN), store=store, progress=False)
        os._exit(0)

    def size() -> int:
        return sum(file.stat().st_size for file in (store / "rows").glob("*.jsonl"))

    before = size()
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    while process.is_alive() and size() == before:
        time.sleep(0.001)
    time.sleep(moment)
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_rows_of_an_unbroken_run(
    tmp_path: Path, whole: pd.DataFrame
) -> None:
    moments = random.Random(0)
    counts = []
    for _ in range(KILLS):
        assert killed(tmp_path, moments.uniform(0, 0.03))
        counts.append(len(Store.read(tmp_path).lines("rows")))
    assert (
        0 < counts[0] < counts[1] < counts[2] < counts[3] < CELLS
    )  # every life got on, and none was through
    resumed = run_plan(load_plan(PLAN), store=tmp_path, progress=False)
    assert_alike(table(resumed), whole)
    assert_once(tmp_path)


@pytest.mark.slow
def test_two_shards_give_the_rows_of_one_run(tmp_path: Path, whole: pd.DataFrame) -> None:
    second = run_plan(load_plan(PLAN), store=tmp_path, shard=Shard.parse("2/2"), progress=False)
    assert 0.35 * CELLS < len(second) < 0.65 * CELLS
    both = run_plan(load_plan(PLAN), store=tmp_path, shard=Shard.parse("1/2"), progress=False)
    assert_alike(table(both), whole)
    assert_once(tmp_path)
