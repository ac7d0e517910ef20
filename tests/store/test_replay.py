"""A committed store of schema 1 opens, shows what it showed, and is gone on with; a store of another schema is refused.

tests/data/store-1 holds `tiny`, two prompts, two seeds: standard, selection(candidates=2) and inversion, and best_of under
a budget, watched on its way, calibrated; store-1.csv is what `Run.frame` gave when it was written.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import noisekit as nk
from noisekit.errors import BadValue
from noisekit.results.calibration import Calibration
from noisekit.types import Arm

BEST = "best_of(n=3, rewards='clip_score:1', weights='tiny')"


@pytest.fixture
def store(root: Path, tmp_path: Path) -> Path:
    """A copy that may be written to."""
    return Path(shutil.copytree(root / "tests" / "data" / "store-1", tmp_path / "store"))


@pytest.fixture
def shown(root: Path) -> pd.DataFrame:
    """What it showed when it was written."""
    return pd.read_csv(root / "tests" / "data" / "store-1.csv")


def assert_shown(frame: pd.DataFrame, shown: pd.DataFrame) -> None:
    """The same values to the last digit; a CSV has one kind of missing value only, and no mappings."""
    shown = shown.drop(columns="categories")
    now = frame[shown.columns].reset_index(drop=True).fillna(np.nan)
    pd.testing.assert_frame_equal(now, shown, check_dtype=False, rtol=1e-15)


def test_it_shows_what_it_showed(store: Path, shown: pd.DataFrame) -> None:
    run = nk.load_run(store)
    frame = run.frame()
    assert_shown(frame, shown)
    assert run.metrics == ["truth", "clip_score", "mps"]
    assert run.metric_info["mps"].pairwise and run.metric_info["truth"].ground_truth
    assert len(run.traces()) == 4 * (2 + 2)
    assert len(run.diversity()) == 4 * 2
    assert not run.noise_analysis().frequencies.empty
    assert {Calibration.read(row).mode for row in run.calibrations()} == {"latency", "throughput"}
    assert run.failures().empty
    assert set(run.settings()) == {("tiny", method) for method in frame["method"].unique()}
    assert all(run.image(name).shape == (3, 32, 32) for name in frame["image"])


def test_method_budget_and_checkpoint_are_columns_of_their_own(store: Path) -> None:
    run = nk.load_run(store)
    whole = Arm(BEST, nk.Budget(calls=300, candidates=2))
    assert run.arms[str(whole)] == whole
    assert [arm.budget for name, arm in run.arms.items() if name != str(whole)] == [nk.Budget()] * 3
    (line,) = {
        tuple(row[name] for name in ("method", "budget_seconds", "budget_calls", "budget_candidates"))
        for file in (store / "rows").iterdir()
        for row in map(json.loads, file.read_text().splitlines())
        if row["method"].startswith("best_of")
    }
    assert line == (BEST, None, 300, 2)
    ended = run.curves().dropna(subset=["checkpoint"])
    best = ended[ended["search"] == str(whole)]
    assert len(best) == 4
    assert best[["expression", "budget_calls", "budget_candidates", "checkpoint"]].to_numpy().tolist() == (
        [[BEST, 300, 1, 1]] * 4
    )


def test_it_is_gone_on_with_and_nothing_in_it_changes(store: Path, shown: pd.DataFrame) -> None:
    before = {file: file.read_bytes() for file in store.rglob("*.*")}
    metrics = ["truth", "clip_score", "mps", "color_red"]
    run = nk.compare(
        "tiny", "standard", ["a red circle"], seeds=2, metrics=metrics, store=store, progress=False
    )
    assert {file: file.read_bytes() for file in before} == before
    frame = run.frame()
    assert frame["color_red"].notna().sum() == 2
    assert_shown(frame, shown)


@pytest.mark.parametrize("schema", [0, 2, "1"])
def test_another_schema_is_one_sentence(store: Path, schema: Any) -> None:
    manifest = json.loads((store / "manifest.json").read_text())
    (store / "manifest.json").write_text(json.dumps(manifest | {"schema": schema}))
    before = {file: file.read_bytes() for file in store.rglob("*.*")}
    for use in (
        lambda: nk.load_run(store),
        lambda: nk.compare("tiny", "inversion", ["a red circle"], store=store),
    ):
        with pytest.raises(
            BadValue, match=rf"has schema {schema!r}, and this version of noisekit reads schema 1; "
        ):
            use()
    assert {file: file.read_bytes() for file in store.rglob("*.*")} == before


def test_a_manifest_that_does_not_say_how_noise_is_keyed_is_refused(store: Path) -> None:
    (store / "manifest.json").write_text('{"schema": 1}')
    with pytest.raises(BadValue, match="does not say how noise is keyed"):
        nk.load_run(store)
