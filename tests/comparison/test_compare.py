"""compare: what it generates, what it leaves alone, and what survives an interruption."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from PIL import Image

import noisekit as nk
from noisekit.comparison import compare
from noisekit.engine.execute import Progress
from noisekit.errors import BadValue, NoisekitError, NotSupported
from noisekit.results import Run, load_run
from noisekit.rewards import loading
from noisekit.rewards.folders import folder_hash
from noisekit.types import COUNTED
from tests.engine.alike import assert_alike
from tests.engine.toys import COSINE, PROMPTS, SELECTION, CountingModel


def run(
    store: Path, model: CountingModel | None = None, methods: Any = (SELECTION, COSINE), **options: Any
) -> Run:
    given = {"prompts": PROMPTS, "seeds": 2, "metrics": ["truth"], "progress": False} | options
    return compare(model or CountingModel(), list(methods), store=store, **given)


def lines(store: Path, kind: str) -> list[dict[str, Any]]:
    return [
        json.loads(line) for file in (store / kind).glob("*.jsonl") for line in file.read_text().splitlines()
    ]


def test_every_method_meets_standard_on_every_prompt_and_seed(tmp_path: Path) -> None:
    done = run(tmp_path)
    frame = done.frame()
    assert len(done) == len(frame) == 3 * len(PROMPTS) * 2
    cells = frame.groupby("method", sort=False).apply(lambda g: list(zip(g["prompt"], g["seed"])))
    assert cells.index[0] == "standard"
    assert all(cell == [(text, seed) for text in PROMPTS for seed in (0, 1)] for cell in cells)
    spent = ["calls", *(f"calls_{network}" for network in COUNTED), "seconds", "noise_norm", "noise_cosine"]
    assert frame[spent].notna().all(axis=None)
    assert frame["truth"].isin([0, 1]).all()
    assert frame.loc[frame["method"] == "standard", "noise_cosine"].between(1 - 1e-5, 1 + 1e-5).all()
    assert (frame.loc[frame["method"] == "standard", "calls"] == 2).all()
    assert done.metrics == ["truth"]
    pd.testing.assert_frame_equal(load_run(tmp_path).frame(), frame)


def test_stored_images_are_the_methods_own(tmp_path: Path) -> None:
    frame = run(tmp_path).frame()
    model = CountingModel()
    for row in frame.iloc[::5].itertuples():
        expected = nk.load_method(str(row.method))(model, row.prompt, seeds=[row.seed]).images[0]
        with Image.open(tmp_path / row.image) as file:
            assert file.text["prompt"] == row.prompt  # type: ignore[attr-defined]
            assert file.text["method"] == row.method  # type: ignore[attr-defined]
            pixels = torch.tensor(list(file.get_flattened_data())).view(32, 32, 3).permute(2, 0, 1)
        assert (pixels - 255 * expected).abs().max() <= 0.5 + 1e-3


def test_again_computes_nothing_and_more_computes_the_gap_only(tmp_path: Path, brightness: Path) -> None:
    store, first = tmp_path / "store", CountingModel()
    run(store, first, [SELECTION], prompts=PROMPTS[:2])
    assert sum(first.batches) == 2 * (1 + 4)  # two methods, each one image to warm up and four to keep

    again = CountingModel()
    before = {file: file.read_bytes() for file in store.rglob("*.*")}
    run(store, again, [SELECTION], prompts=PROMPTS[:2])
    assert again.batches == []
    assert {file: file.read_bytes() for file in store.rglob("*.*")} == before

    method = CountingModel()
    run(store, method, [SELECTION, COSINE], prompts=PROMPTS[:2])
    assert sum(method.batches) == 1 + 4

    prompt = CountingModel()
    run(store, prompt, [SELECTION, COSINE], prompts=PROMPTS)
    assert sum(prompt.batches) == 3 * (1 + 2)

    seed = CountingModel()
    done = run(store, seed, [SELECTION, COSINE], prompts=PROMPTS[:1], seeds=3)
    assert sum(seed.batches) == 3 * (1 + 1)
    assert len(done) == 3 * (6 + 1)

    metric = CountingModel()
    done = run(store, metric, [SELECTION, COSINE], metrics=["truth", "brightness"])
    assert metric.batches == []
    assert done.metrics == ["truth", "brightness"]
    assert done.frame()["brightness"].notna().sum() == 3 * 6  # the third seed was not asked for


def test_missing_images_are_made_again(tmp_path: Path) -> None:
    frame = run(tmp_path).frame()
    lost = tmp_path / frame["image"].iloc[0]
    content = Image.open(lost).tobytes()
    lost.unlink()
    model = CountingModel()
    assert len(run(tmp_path, model)) == len(frame)
    assert sum(model.batches) == 1 + 1
    assert Image.open(lost).tobytes() == content


@pytest.mark.parametrize("stop_at", range(1, 9))
def test_an_interruption_keeps_what_is_finished(tmp_path: Path, stop_at: int) -> None:
    model = CountingModel(stop_at)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", model, [SELECTION], batch=2)
    stored = lines(tmp_path / "stopped", "rows")
    finished = [size for method in (model.batches[:4], model.batches[4:]) for size in method[1:]]
    assert len(stored) == sum(finished) - (model.batches[-1] if stop_at not in (1, 5) else 0)
    assert len(lines(tmp_path / "stopped", "scores")) == len(stored)

    resumed = run(tmp_path / "stopped", methods=[SELECTION], batch=2).frame()
    whole = run(tmp_path / "whole", methods=[SELECTION]).frame()
    columns = ["prompt", "seed", "image", "truth", "noise_norm", "calls"]
    assert_alike(resumed[columns], whole[columns])


def test_images_and_identities_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    one, all_ = (run(tmp_path / str(batch), batch=batch).frame() for batch in (1, None))
    assert (one["image"] == all_["image"]).all()
    for name in one["image"]:
        difference = [
            torch.tensor(list(Image.open(tmp_path / batch / name).tobytes())) for batch in ("1", "None")
        ]
        assert (difference[0] - difference[1]).abs().max() <= 1


def test_everything_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    model = CountingModel()
    refused: list[dict[str, Any]] = [
        {"methods": [SELECTION, "reno(rewards='clip_score', weights='tiny')"]},
        {"methods": ["slection"]},
        {"methods": [SELECTION, "cosine(steps=0)"]},
        {"methods": []},
        {"prompts": []},
        {"prompts": ["x" * 10_000]},
        {"limit": 0},
        {"seeds": 0},
        {"seeds": [-1]},
        {"seeds": True},
        {"metrics": ["truht"]},
        {"metrics": []},
        {"metrics": ["truth", "truth"]},
        {"batch": 0},
        {"noise": "share"},
    ]
    for options in refused:
        with pytest.raises((BadValue, NotSupported)):
            run(tmp_path / "store", model, **options)
        assert not list((tmp_path / "store").rglob("*.jsonl")), options
    assert model.batches == []


def test_a_method_that_a_model_cannot_run_is_named_with_the_model(tmp_path: Path) -> None:
    with pytest.raises(NotSupported, match=r"'reno'.*one-step.*'analytic'"):
        run(tmp_path, methods=["reno(rewards='clip_score')"])


def test_budgets_are_part_of_the_method_and_not_of_standard(tmp_path: Path) -> None:
    free = run(tmp_path).frame()
    model = CountingModel()
    done = run(tmp_path, model, [COSINE], budget=nk.Budget(calls=8)).frame()
    assert sum(model.batches) == 1 + 6  # standard was there
    assert len(done) == len(free) + 6
    limited = done[done["method"].str.endswith("@ 8 calls")]
    assert len(limited) == 6
    assert (limited["calls"] <= 8).all()
    assert set(limited["stopped"]) == {"budget"}


def test_changed_weights_hide_what_the_old_ones_made(tmp_path: Path, brightness: Path) -> None:
    run(tmp_path / "store", metrics=["brightness"])
    shown = run(
        tmp_path / "store", CountingModel(width=0.3), [SELECTION], metrics=["brightness"], prompts=PROMPTS[:1]
    )
    assert len(shown) == 2 * 2
    assert len(lines(tmp_path / "store", "rows")) == 3 * 6 + 2 * 2

    (brightness / "retrained.txt").write_text("other weights")
    loading._loaded.cache_clear()
    folder_hash.cache_clear()
    again = CountingModel(width=0.3)
    shown = run(tmp_path / "store", again, [SELECTION], metrics=["brightness"], prompts=PROMPTS[:1])
    assert again.batches == []
    assert len(lines(tmp_path / "store", "scores")) == 3 * 6 + 2 * 2 + 2 * 2
    assert shown.frame()["brightness"].notna().all()


def test_settings_that_differ_from_the_card_are_in_the_models_name(tmp_path: Path) -> None:
    run(tmp_path, methods=[SELECTION])
    done = run(tmp_path, CountingModel(steps=4), methods=[SELECTION])
    assert set(done.frame()["model"]) == {
        "analytic(steps=2, guidance=1.0)",
        "analytic(steps=4, guidance=1.0)",
    }
    assert len(done.summary()) == 4


def test_reno_is_watched_at_checkpoints_and_marked(tmp_path: Path, brightness: Path) -> None:
    model = CountingModel(steps=1)
    reno = "reno(steps=6, lr=1000000.0, regularisation=0.0, rewards='brightness', weights='tiny')"
    done = run(tmp_path / "store", model, [reno], metrics=["truth", "brightness"])
    (method,) = set(done.frame()["method"]) - {"standard"}
    assert done.optimised(method) == {"brightness"}
    assert done.objective(method) == "reward"
    assert done.optimised("standard") == frozenset()
    traces = done.traces()
    assert len(traces) == 6 * 6
    seen = traces[traces["metric_brightness"].notna()]
    assert sorted(set(seen["step"])) == [0, 1, 4]  # candidates 1, 2 and 5
    assert seen["metric_truth"].notna().all()
    best = seen.groupby(["prompt", "seed"])["metric_brightness"]
    assert best.apply(lambda scores: scores.diff().min() > -1 / 255).all()  # up to rounding to 8 bits
    table = done.summary().set_index("method")
    assert table.loc[method, "brightness_difference"] > 0
    assert table.loc[method, "brightness_win"] == 1
    assert pd.isna(table.loc["standard", "brightness_difference"])
    with pytest.raises(BadValue, match="has no method 'selection'"):
        done.optimised("selection")


def test_one_store_holds_one_noise_convention(tmp_path: Path) -> None:
    done = run(tmp_path, noise="shared")
    assert done.shared
    norms = done.frame().query("method == 'standard'").groupby("seed")["noise_norm"]
    assert (norms.nunique() == 1).all()
    with pytest.raises(BadValue, match="'shared'"):
        run(tmp_path)


def test_prompts_that_a_model_does_not_read_whole_are_listed_once(tmp_path: Path) -> None:
    model = CountingModel()
    model.unread = lambda prompts: {prompts[1]: "words that it does not know: two"}  # type: ignore[method-assign]
    with pytest.warns(UserWarning, match="1 of 3 prompts whole: 'two blue squares': words that") as caught:
        run(tmp_path, model)
    assert len(caught) == 1


def test_a_run_without_images_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoisekitError):
        run(tmp_path, methods=[SELECTION, "reno(rewards='clip_score')"])
    empty = load_run(tmp_path)
    assert empty.frame().empty
    assert empty.traces().empty
    with pytest.raises(BadValue, match="no images yet"):
        empty.summary()


def test_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    models = [CountingModel(), CountingModel(width=0.4)]
    with pytest.raises(BadValue, match="both called 'analytic"):
        compare(models, "standard", PROMPTS, metrics=["truth"], store=tmp_path)
    done = compare([models[0], models[0]], [SELECTION, SELECTION], PROMPTS, metrics=["truth"], store=tmp_path)
    assert len(done) == 2 * len(PROMPTS)


def test_left_out_prompts_are_counted(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="1 empty and 2 repeated prompts"):
        run(tmp_path, methods=["standard"], prompts=["a", "", "a", "b", "a"])


@pytest.mark.parametrize("low_memory", [False, True])
def test_whoever_watches_is_told_how_far_it_is_and_may_end_it(tmp_path: Path, low_memory: bool) -> None:
    told: list[Progress] = []

    def look(progress: Progress) -> bool:
        told.append(progress)
        return progress.done >= 4

    done = run(tmp_path, batch=2, observe=look, low_memory=low_memory)
    assert len(done) == 4
    assert [progress.done for progress in told[:3]] == [0, 2, 4]
    assert {progress.total for progress in told[:3]} == {3 * 3 * 2} and not told[0].doing
    assert told[1].doing.endswith(" · standard")
    again = run(tmp_path, batch=2, observe=told.append, low_memory=low_memory)
    whole = run(tmp_path / "whole", batch=2).frame()
    same = ["prompt", "seed", "method", "calls", "truth", "noise_norm"]
    assert_alike(again.frame()[same], whole[same])
    assert told[-1].done == told[-1].total and not told[-1].failed
