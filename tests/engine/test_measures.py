"""What a run keeps beside scores: facts of metrics, preferences over standard, diversity, and what became of the noise."""

from __future__ import annotations

import json
import shutil
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit
from scipy.stats import kurtosis

import noisekit as nk
from noisekit.comparison import compare
from noisekit.metrics.info import MetricInfo
from noisekit.results import Run, load_run
from noisekit.rewards import load_reward
from tests.engine.toys import COSINE, PROMPTS, SELECTION, CountingModel

RENO = "reno(steps=6, lr=1000000.0, regularisation=0.0, rewards='brightness', weights='tiny')"

#: Of brightness, whose range is 6.
TIE = 1e-4 * 6


def run(store: Path, *methods: str, **options: Any) -> Run:
    steps = options.pop("steps", 2)
    given = {"prompts": PROMPTS, "seeds": 2, "metrics": ["truth"], "progress": False} | options
    return compare(CountingModel(steps=steps), list(methods or [SELECTION]), store=store, **given)


def lines(store: Path, kind: str) -> list[dict[str, Any]]:
    files = sorted((store / kind).glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


# --- facts of metrics ------------------------------------------------------------------------------------------------


def test_what_a_metric_is_is_kept_once_and_survives_the_weights(tmp_path: Path, brightness: Path) -> None:
    done = run(tmp_path / "store", metrics=["truth", "brightness"])
    again = run(tmp_path / "store", COSINE, metrics=["brightness"])
    assert len(lines(tmp_path / "store", "metrics")) == 2
    shutil.rmtree(brightness)
    for shown in (done, again, load_run(tmp_path / "store")):
        assert list(shown.metric_info) == shown.metrics == ["truth", "brightness"]
        assert shown.metric_info["brightness"] == MetricInfo(
            name="brightness", version="mean", weights="tiny", family="none", low=-3.0, high=3.0, tie=TIE
        )
        assert shown.metric_info["truth"].family == "checker"


def test_ties_are_those_of_the_metric(tmp_path: Path, brightness: Path) -> None:
    done = run(tmp_path / "store", metrics=["brightness"])
    frame = done.frame().pivot(index=["prompt", "seed"], columns="method", values="brightness")
    difference = frame[frame.columns[frame.columns != "standard"][0]] - frame["standard"]
    summary = done.summary().set_index("method").drop("standard").iloc[0]
    assert summary["brightness_tie"] == (difference.abs() <= TIE).mean()
    assert summary["brightness_win"] == (difference > TIE).mean()


def test_tables_are_computed_once_and_given_away_as_copies(tmp_path: Path) -> None:
    done = run(tmp_path)
    for name in ("frame", "traces", "summary", "diversity"):
        table = getattr(done, name)()
        kept = table.copy()
        table.iloc[:, 0] = "changed"
        pd.testing.assert_frame_equal(getattr(done, name)(), kept)
    assert done.summary.__func__ is Run.summary  # type: ignore[attr-defined]
    assert done._summary is done._summary


# --- pairwise metrics ------------------------------------------------------------------------------------------------


def test_a_pairwise_metric_is_a_preference_over_standard(tmp_path: Path, brightness: Path) -> None:
    done = run(tmp_path / "store", SELECTION, COSINE, metrics=["glow", "brightness"])
    assert done.metrics == ["glow", "brightness"]
    frame = done.frame()
    columns = list(frame.columns)
    assert columns[columns.index("glow") + 1] == "glow_score"
    pd.testing.assert_series_equal(frame["glow_score"], frame["brightness"], check_names=False)
    cells = frame.pivot(index=["prompt", "seed"], columns="method", values=["glow", "brightness"])
    assert (cells["glow"]["standard"] == 0.5).all()
    for method in set(frame["method"]) - {"standard"}:
        over = expit(cells["brightness"][method] - cells["brightness"]["standard"])
        np.testing.assert_allclose(cells["glow"][method], over)
        assert over.std() > 0
        row = done.summary().set_index("method").loc[method]
        assert row["glow_difference"] == pytest.approx((over - 0.5).mean())
        for outcome in ("win", "tie", "loss"):
            assert row[f"glow_{outcome}"] == row[f"brightness_{outcome}"]
    correlations = done.correlations()
    assert list(correlations.columns) == list(correlations.index) == done.metrics
    assert correlations.loc["glow", "brightness"] == pytest.approx(1)


def test_without_a_standard_image_there_is_no_preference(tmp_path: Path, brightness: Path) -> None:
    run(tmp_path / "store", metrics=["glow"])
    for file in (tmp_path / "store" / "rows").iterdir():
        kept = [
            line
            for line in file.read_text().splitlines(keepends=True)
            if not ('"method": "standard"' in line and '"seed": 1' in line)
        ]
        file.write_text("".join(kept))
    frame = load_run(tmp_path / "store").frame()
    assert len(frame) == 3 + 6
    assert frame["glow_score"].notna().all()
    assert (frame["glow"].isna() == (frame["seed"] == 1)).all()


def test_a_preference_along_the_search_is_over_the_same_standard_image(
    tmp_path: Path, brightness: Path
) -> None:
    done = run(tmp_path / "store", RENO, steps=1, metrics=["glow", "brightness"])
    traces = done.traces()
    seen = traces[traces["metric_glow"].notna()]
    assert sorted(set(seen["step"])) == [0, 1, 4]
    standard = done.frame().query("method == 'standard'").set_index(["prompt", "seed"])["brightness"]
    theirs = standard.loc[list(zip(seen["prompt"], seen["seed"]))].to_numpy()
    np.testing.assert_allclose(seen["metric_glow"], expit(seen["metric_brightness"].to_numpy() - theirs))
    assert (seen["metric_glow_score"] == seen["metric_brightness"]).all()
    first = seen[seen["step"] == 0]  # ReNO begins with the standard noise
    np.testing.assert_allclose(first["metric_glow"], 0.5, atol=1e-6)
    assert (seen[seen["step"] == 4]["metric_glow"] > 0.5).all()


# --- diversity -------------------------------------------------------------------------------------------------------


def test_diversity_is_measured_once_for_every_set_of_seeds(tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert run(store, seeds=1).diversity().empty
    assert lines(store, "diversity") == []

    two = run(store, seeds=[1]).diversity()  # with seed 0, which is there
    assert len(two) == len(lines(store, "diversity")) == 2 * len(PROMPTS)
    assert set(two["seeds"]) == {2}
    run(store, seeds=[0, 1])
    run(store, seeds=1)
    assert len(lines(store, "diversity")) == 2 * len(PROMPTS)

    three = run(store, seeds=3, prompts=PROMPTS[:1])
    assert len(lines(store, "diversity")) == 2 * len(PROMPTS) + 2
    table = three.diversity()
    assert list(table.groupby("prompt", sort=False)["seeds"].first()) == [3, 2, 2]

    tower = load_reward("clip_score")
    frame = three.frame()
    for row in table.itertuples():
        cells = frame[(frame["method"] == row.method) & (frame["prompt"] == row.prompt)]
        images = [nk.store.png.read_image(store / name) for name in cells["image"]]
        vectors = [tower.embed(image[None])[0] for image in images]  # type: ignore[attr-defined]
        apart = [1 - torch.cosine_similarity(a, b, dim=0).item() for a, b in combinations(vectors, 2)]
        assert row.diversity == pytest.approx(np.mean(apart), abs=1e-6)
    assert table.loc[table["method"] == "standard", "difference"].isna().all()
    other = table[table["method"] != "standard"].set_index("prompt")
    standard = table[table["method"] == "standard"].set_index("prompt")["diversity"]
    np.testing.assert_allclose(other["difference"], other["diversity"] - standard, atol=1e-12)
    summary = three.diversity_summary().set_index("method")
    assert summary.loc["standard", "diversity"] == pytest.approx(standard.mean())


def test_a_lost_image_is_no_obstacle_to_diversity(tmp_path: Path) -> None:
    frame = run(tmp_path, seeds=3).frame()
    for name in frame.query("seed == 2")["image"]:
        (tmp_path / name).unlink()
    (tmp_path / "diversity").rename(tmp_path / "images" / "put away")
    assert set(run(tmp_path, seeds=2).diversity()["seeds"]) == {2}


# --- noises ----------------------------------------------------------------------------------------------------------


def test_every_image_says_what_became_of_its_noise(tmp_path: Path) -> None:
    done = run(tmp_path, SELECTION, COSINE, prompts=PROMPTS[:2])
    frame, model = done.frame(), CountingModel()
    for row in frame.itertuples():
        result = nk.load_method(str(row.method))(model, row.prompt, seeds=[row.seed])
        found, initial = result.noise[0].flatten(), result.initial[0].flatten()
        assert row.noise_norm == pytest.approx(found.norm().item(), rel=1e-5)
        assert row.noise_distance == pytest.approx((found - initial).norm().item(), rel=1e-4)
        assert row.noise_kurtosis == pytest.approx(kurtosis(found.double()), rel=1e-3, abs=1e-4)
    standard = frame["method"] == "standard"
    assert (frame.loc[standard, "noise_distance"] == 0).all()

    analysis = done.noise_analysis()
    methods = list(dict.fromkeys(frame["method"]))
    assert list(dict.fromkeys(analysis.frequencies["method"])) == methods
    rings, vectors = (table.set_index("method") for table in (analysis.frequencies, analysis.vectors))
    assert (rings.loc["standard", "coherence"] > 0.999).all()
    assert (vectors.loc["standard", "similarity"] > 0.999).all()
    assert (rings.loc[methods[1], "coherence"] < 0.99).all()
    terms = 1 / rings["chance"]
    power = (rings["found"] * terms).groupby("method").sum()
    squares = (frame["noise_norm"] ** 2).groupby(frame["method"]).sum()
    pd.testing.assert_series_equal(power, squares, check_names=False, rtol=1e-4)
