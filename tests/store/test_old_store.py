"""A store that noisekit 0.1.0 wrote opens, shows what it showed, and loses nothing when it is gone on with.

tests/data/store-0.1.0 was written by the commit that came before stores were read as columns, and store-0.1.0.csv is what
`Run.frame` gave there: `tiny`, two prompts, two seeds, standard, selection(candidates=2) and inversion.
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
from noisekit.engine.forecast.why import explain
from noisekit.engine.units import Job
from noisekit.errors import BadValue
from noisekit.methods.inversion import Inversion
from noisekit.models import Model
from noisekit.plan.sources import ModelSource
from noisekit.store.png import read_parameters
from noisekit.store.store import Store
from noisekit.types import Budget

PROMPTS = ["a red circle", "two blue squares"]
METHODS = ["selection(candidates=2)", "inversion"]


@pytest.fixture
def store(root: Path, tmp_path: Path) -> Path:
    """A copy that may be written to."""
    return Path(shutil.copytree(root / "tests" / "data" / "store-0.1.0", tmp_path / "store"))


@pytest.fixture
def shown(root: Path) -> pd.DataFrame:
    """What the old version showed of it."""
    return pd.read_csv(root / "tests" / "data" / "store-0.1.0.csv")


def assert_shown(frame: pd.DataFrame, shown: pd.DataFrame) -> None:
    """The same values to the last digit; a CSV has one kind of missing value only."""
    now = frame[shown.columns].reset_index(drop=True).fillna(np.nan)
    pd.testing.assert_frame_equal(now, shown, check_dtype=False, rtol=1e-15)


def contents(store: Path, kind: str) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (store / kind).iterdir()}


def added(store: Path, kind: str, before: dict[str, bytes]) -> list[dict[str, Any]]:
    """The lines of files that were not there before; those that were are as they were."""
    now = contents(store, kind)
    assert {name: now[name] for name in before} == before
    return [json.loads(line) for name in now.keys() - before for line in now[name].splitlines()]


def test_it_shows_what_it_showed(store: Path, shown: pd.DataFrame) -> None:
    run = nk.load_run(store)
    frame = run.frame()
    assert_shown(frame, shown)
    assert frame[["suite", "categories", "peak_memory"]].isna().all(axis=None)
    assert (frame["preparation"] == 0).all()
    assert run.metrics == ["truth", "clip_score", "mps"]
    assert run.metric_info["mps"].pairwise
    assert len(run.traces()) == 4 * 2  # four images of selection, two candidates each
    assert len(run.diversity()) == 3 * 2
    assert not run.noise_analysis().frequencies.empty
    assert run.calibrations() == []
    assert run.failures().empty
    assert all(run.image(name).shape == (3, 32, 32) for name in frame["image"])


def test_its_images_are_made_anew_as_nothing_tells_that_the_model_is_the_same(
    store: Path, shown: pd.DataFrame
) -> None:
    """Its identities knew the weights alone. What it holds is kept, and the same seeds make the same images."""
    before = {kind: contents(store, kind) for kind in ("rows", "scores", "diversity", "metrics", "images")}
    run = nk.compare(
        "tiny", METHODS, PROMPTS, seeds=2, metrics=["truth", "clip_score", "mps"], store=store, progress=False
    )
    rows = added(store, "rows", before["rows"])
    assert len(rows) == len(shown) == 3 * 4
    images = contents(store, "images")
    assert {name: images[name] for name in before["images"]} == before["images"]
    assert images.keys() - before["images"] == {Path(row["image"]).name for row in rows}
    assert len(added(store, "scores", before["scores"])) == 3 * len(rows)
    assert added(store, "metrics", before["metrics"]) == []

    frame = run.frame()
    assert set(frame["image"]) == {row["image"] for row in rows}
    assert frame[["method", "prompt", "seed"]].to_numpy().tolist() == (
        shown[["method", "prompt", "seed"]].to_numpy().tolist()
    )
    np.testing.assert_allclose(frame["noise_norm"], shown["noise_norm"], rtol=1e-4)
    np.testing.assert_allclose(frame["clip_score"], shown["clip_score"], atol=0.5)  # an eighth bit may turn


@pytest.mark.parametrize("schema", [0, 2, "1"])
def test_another_schema_is_one_sentence(store: Path, schema: Any) -> None:
    manifest = json.loads((store / "manifest.json").read_text())
    (store / "manifest.json").write_text(json.dumps(manifest | {"schema": schema}))
    before = {file: file.read_bytes() for file in store.rglob("*.*")}
    for use in (lambda: nk.load_run(store), lambda: nk.compare("tiny", "inversion", PROMPTS, store=store)):
        with pytest.raises(
            BadValue, match=rf"has schema {schema!r}, and this version of noisekit reads schema 1; "
        ):
            use()
    assert {file: file.read_bytes() for file in store.rglob("*.*")} == before


def test_a_manifest_that_does_not_say_how_noise_is_keyed_is_refused(store: Path) -> None:
    (store / "manifest.json").write_text('{"schema": 1}')
    with pytest.raises(BadValue, match="does not say how noise is keyed"):
        nk.load_run(store)


def test_a_newer_version_of_a_method_is_named_as_what_may_have_changed(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its images carry all that the method's string says, and no version."""
    model, opened = nk.load_model("tiny"), Store.read(store)
    first, *differences = explain(job_of(model), opened)
    assert first.startswith(
        "nearest in the store is inversion(inversion_guidance=1.0) on tiny; it differs in"
    )
    assert all(line.startswith("model.") for line in differences)
    known = json.loads(read_parameters(next((store / "images").iterdir()))["identity"])
    monkeypatch.setattr(type(model), "identity", property(lambda _model: known))
    newer = Inversion.version
    monkeypatch.setattr(Inversion, "version", 1)
    assert explain(job_of(model), opened) == [
        "the store holds this very setting: only these prompts and seeds are new"
    ]
    monkeypatch.setattr(Inversion, "version", newer)
    (line,) = explain(job_of(model), opened)
    assert "version or the weights" in line


def job_of(model: Model) -> Job:
    return Job.of(ModelSource("tiny", {}), model, nk.load_method("inversion"), Budget(), "per_prompt")
