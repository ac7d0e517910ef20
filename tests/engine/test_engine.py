"""The engine: what is left to do, what happens to what fails, and that shards, stops and halves lose nothing."""

from __future__ import annotations

import json
import pickle
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

import noisekit as nk
from noisekit.comparison import run_plan
from noisekit.engine.forecast.explain import explain, explain_score
from noisekit.engine.forecast.overview import overview
from noisekit.engine.units import Generation, Scoring
from noisekit.engine.worker import Resources
from noisekit.errors import BadValue, NoisekitError
from noisekit.models.base import Conditioning
from noisekit.plan import load_plan
from noisekit.plan.shard import Shard
from noisekit.rewards import loading
from noisekit.rewards.folders import folder_hash
from noisekit.store.store import Store
from tests.engine.alike import assert_alike
from tests.engine.toys import COSINE, PROMPTS, SELECTION, CountingModel

#: Columns that depend on nothing but what was generated.
SAME = ["model", "method", "prompt", "seed", "image", "truth", "calls", "noise_norm"]


class SmallMemory(CountingModel):
    """Decodes no more than `most` images at once, and says so as torch does on a GPU."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def decode(self, latents: Tensor) -> Tensor:
        images = super().decode(latents)
        if len(latents) > self.most:
            raise torch.OutOfMemoryError(
                "CUDA out of memory. Tried to allocate 2.00 GiB.\nMore lines of advice."
            )
        return images


class Overflowing(CountingModel):
    """No number in the image of one prompt, as when half precision overflows."""

    def encode(self, prompts: Any) -> Any:
        self.read = list(prompts)
        return super().encode(prompts)

    def decode(self, latents: Any) -> Any:
        images = super().decode(latents).clone()
        images[[text == PROMPTS[1] for text in self.read]] = torch.nan
        return images


class Cursed(CountingModel):
    """Cannot encode a prompt with this word, until it is healed."""

    word: str | None = "two"

    def encode(self, prompts: Any) -> Conditioning:
        if self.word and any(self.word in text for text in prompts):
            raise ZeroDivisionError("the prompt\nis cursed")
        return super().encode(prompts)


def plan(model: Any = None, **given: Any) -> nk.Plan:
    usual = {"methods": [SELECTION], "prompts": {"texts": PROMPTS}, "seeds": 2, "metrics": ["truth"]}
    return load_plan({"models": [model or CountingModel()], **usual, **given})


def run(store: Path, model: Any = None, **given: Any) -> nk.Run:
    options = {key: given.pop(key) for key in ("shard", "retry_failed", "strict", "executor") if key in given}
    return run_plan(plan(model, **given), store=store, progress=False, **options)


def lines(store: Path, kind: str) -> list[dict[str, Any]]:
    return Store.read(store).lines(kind)  # type: ignore[arg-type]


def states(store: Path, model: Any = None, **given: Any) -> dict[str, tuple[int, int, int, int]]:
    """Done, unscored, missing and failed by the first word of the method."""
    options = {key: given.pop(key) for key in ("shard", "retry_failed") if key in given}
    found = overview(plan(model, **given), store=store, **options)
    return {
        line.method.partition("(")[0]: (line.done, line.unscored, line.missing, line.failed)
        for line in found.lines
    }


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [3, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 4))])
def test_out_of_memory_halves_the_batch_remembers_and_goes_on(tmp_path: Path, most: int) -> None:
    whole = run(tmp_path / "whole", batch=6).frame()
    model = SmallMemory(most)
    frame = run(tmp_path / "small", model, batch=6).frame()
    assert_alike(frame[SAME], whole[SAME])
    too_large = [size for size in model.batches if size > most]
    assert too_large == [6, *([2] if most == 1 else [])] * 2  # for each method once
    assert lines(tmp_path / "small", "failures") == []


def test_what_does_not_fit_even_alone_is_a_failure_with_a_reason(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="2 images failed"):
        done = run(tmp_path, SmallMemory(0), prompts={"texts": PROMPTS[:1]}, seeds=1)
    assert len(done) == 0
    reasons = set(done.failures()["reason"])
    (reason,) = reasons
    assert "does not fit into the memory" in reason
    assert "More lines" not in reason


# --- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*failed", "ignore:.*not finite")
def test_an_image_that_is_not_finite_is_a_failure_and_is_not_scored(tmp_path: Path) -> None:
    done = run(tmp_path, Overflowing(), seeds=1)
    assert PROMPTS[1] not in set(done.frame()["prompt"])
    assert set(done.frame()["prompt"]) == set(PROMPTS) - {PROMPTS[1]}
    failures = done.failures()
    assert set(failures["prompt"]) == {PROMPTS[1]}
    assert failures["reason"].str.contains("makes an image that is not finite .* try dtype bf16").all()
    nothing = run(tmp_path / "none", Overflowing(), seeds=1, prompts={"texts": [PROMPTS[1]]})
    with pytest.raises(BadValue, match=r"all 2 failed, the first because: .* not finite"):
        nothing.summary()


@pytest.mark.filterwarnings("ignore:.*failed")
def test_one_failing_prompt_costs_only_its_own_images(tmp_path: Path) -> None:
    model = Cursed()
    done = run(tmp_path, model)
    whole = run(tmp_path / "whole").frame()
    rest = whole[whole["prompt"] != PROMPTS[1]].reset_index(drop=True)
    assert_alike(done.frame()[SAME], rest[SAME])

    failures = done.failures()
    assert Counter(failures["prompt"]) == {PROMPTS[1]: 4}
    assert set(failures["method"]) == set(rest["method"])
    assert set(failures["reason"]) == {"ZeroDivisionError: the prompt"}
    assert "in encode" in lines(tmp_path, "failures")[0]["where"]
    assert states(tmp_path, model) == {"standard": (4, 0, 0, 2), "selection": (4, 0, 0, 2)}

    again = Cursed()  # nothing is tried again unasked
    run(tmp_path, again)
    assert again.batches == []
    assert len(lines(tmp_path, "failures")) == 4

    assert states(tmp_path, model, retry_failed=True) == {"standard": (4, 0, 2, 0), "selection": (4, 0, 2, 0)}
    run(tmp_path, again, retry_failed=True)
    assert sorted(row["attempt"] for row in lines(tmp_path, "failures")) == [1] * 4 + [2] * 4
    assert set(load_failures(tmp_path)["attempt"]) == {2}

    again.word = None
    healed = run(tmp_path, again, retry_failed=True)
    order = ["method", "prompt", "seed"]
    left, right = (table[SAME].sort_values(order, ignore_index=True) for table in (healed.frame(), whole))
    assert_alike(left, right)
    assert healed.failures().empty
    assert states(tmp_path, model) == {"standard": (6, 0, 0, 0), "selection": (6, 0, 0, 0)}


def load_failures(store: Path) -> pd.DataFrame:
    return nk.load_run(store).failures()


@pytest.mark.filterwarnings("ignore:.*failed")
def test_an_image_that_a_metric_cannot_score_stays_and_is_scored_later(
    tmp_path: Path, brightness: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.engine.toys import Brightness

    score = Brightness.score

    def broken(self: Brightness, pixels: Tensor, prompts: Any) -> Tensor:
        if any("green" in text for text in prompts):
            raise ValueError("no green")
        return score(self, pixels, prompts)

    monkeypatch.setattr(Brightness, "score", broken)
    store, metrics = tmp_path / "store", ["truth", "brightness"]
    done = run(store, metrics=metrics, weights="tiny")
    assert len(done) == 12
    assert done.frame()["truth"].notna().all()
    assert done.frame()["brightness"].notna().sum() == 8
    assert set(done.failures()["reason"]) == {"brightness: ValueError: no green"}
    assert states(store, metrics=metrics)["standard"] == (4, 0, 0, 2)

    monkeypatch.setattr(Brightness, "score", score)
    assert states(store, metrics=metrics, retry_failed=True)["standard"] == (4, 2, 0, 0)
    model = CountingModel()
    healed = run(store, model, metrics=metrics, retry_failed=True)
    assert model.batches == []
    assert healed.frame()["brightness"].notna().all()
    assert healed.failures().empty


def test_a_store_that_cannot_take_more_stops_the_run_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, saved = Store.save_image, []

    def full(self: Store, generation: str, *rest: Any) -> str:
        saved.append(generation)
        if len(saved) == 5:
            raise OSError(28, "No space left on device")
        return save(self, generation, *rest)

    monkeypatch.setattr(Store, "save_image", full)
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path, batch=2)
    assert len(lines(tmp_path, "rows")) == 4
    assert lines(tmp_path, "failures") == []


# --- pairs that do not go together -----------------------------------------------------------------------------------


def test_a_plan_leaves_out_what_a_model_cannot_run_and_says_so(tmp_path: Path) -> None:
    reno = "reno(rewards='clip_score', weights='tiny')"
    with pytest.warns(UserWarning, match=r"left out: method 'reno' needs .*one-step"):
        done = run(tmp_path, methods=[SELECTION, reno])
    assert set(done.frame()["method"].str.partition("(")[0]) == {"standard", "selection"}
    found = overview(plan(methods=[SELECTION, reno]), store=tmp_path)
    (pair,) = found.incompatible
    assert pair.method.startswith("reno(")
    with pytest.raises(nk.errors.NotSupported):
        run(tmp_path, methods=[SELECTION, reno], strict=True)


# --- shards and stops ------------------------------------------------------------------------------------------------


def test_shards_together_are_the_whole(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", methods=[SELECTION, COSINE], seeds=3)
    for i in (1, 2, 3):
        before = {file.name for file in (tmp_path / "parts" / "rows").glob("*")} if i > 1 else set()
        run(tmp_path / "parts", methods=[SELECTION, COSINE], seeds=3, shard=Shard(i, 3))
        after = {file.name for file in (tmp_path / "parts" / "rows").glob("*")}
        assert len(after - before) == 1
    rows = lines(tmp_path / "parts", "rows")
    assert len(rows) == len({row["id"] for row in rows}) == 27
    parts = nk.load_run(tmp_path / "parts")
    columns = ["model", "prompt", "seed", "image", "truth", "calls"]
    key = ["method", "prompt", "seed"]
    expected = whole.frame().sort_values(key)[columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(parts.frame().sort_values(key)[columns].reset_index(drop=True), expected)
    left, right = (done.diversity().sort_values(["method", "prompt"])["diversity"] for done in (parts, whole))
    assert left.tolist() == pytest.approx(right.tolist(), abs=1e-6)


class Terminated(CountingModel):
    """Sends this process a signal in the middle of a batch, or two of them."""

    def __init__(self, number: int, at: int, twice: bool = False) -> None:
        super().__init__()
        self.number, self.at, self.twice = number, at, twice

    def decode(self, latents: Tensor) -> Tensor:
        images = super().decode(latents)
        if len(self.batches) == self.at:
            for _ in range(1 + self.twice):
                signal.raise_signal(self.number)  # to this thread: two that wait for another would become one
        return images


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_batch_under_way(tmp_path: Path, number: int, capsys: Any) -> None:
    before = signal.getsignal(number)
    model = Terminated(number, at=2)  # the first batch after the warm-up
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, model, batch=2)
    assert model.batches == [1, 2]
    assert len(lines(tmp_path, "rows")) == len(lines(tmp_path, "scores")) == 2
    assert "finishing the batch under way" in capsys.readouterr().err
    assert signal.getsignal(number) == before
    whole = run(tmp_path / "whole", batch=2).frame()
    assert_alike(run(tmp_path, batch=2).frame()[SAME], whole[SAME])


@pytest.fixture
def foreground() -> Iterator[None]:
    """Ctrl-C as in the foreground; a shell that starts the tests in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("foreground")
def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    model = Terminated(signal.SIGINT, at=2, twice=True)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, model, batch=2)
    assert lines(tmp_path, "rows") == []


# --- states, time and reasons ----------------------------------------------------------------------------------------


def test_a_dry_run_counts_states_and_changes_nothing(tmp_path: Path, brightness: Path) -> None:
    store = tmp_path / "store"
    assert states(store) == {"standard": (0, 0, 6, 0), "selection": (0, 0, 6, 0)}
    assert not store.exists()
    run(store, prompts={"texts": PROMPTS[:2]})
    before = {file: file.read_bytes() for file in store.rglob("*") if file.is_file()}
    assert states(store) == {"standard": (4, 0, 2, 0), "selection": (4, 0, 2, 0)}
    more = {"metrics": ["truth", "brightness"], "methods": [SELECTION, COSINE], "weights": "tiny"}
    assert states(store, **more) == {
        "standard": (0, 4, 2, 0),
        "selection": (0, 4, 2, 0),
        "cosine": (0, 0, 6, 0),
    }
    halves = [states(store, shard=Shard(i, 2)) for i in (1, 2)]
    assert [sum(map(sum, part.values())) for part in halves] == [
        12 - sum(map(sum, halves[1].values())),
        12 - sum(map(sum, halves[0].values())),
    ]
    assert {file: file.read_bytes() for file in store.rglob("*") if file.is_file()} == before
    with pytest.raises(BadValue, match="'per_prompt', not 'shared'"):
        overview(plan(noise="shared"), store=store)


def test_the_estimate_is_from_what_the_store_has_measured(tmp_path: Path) -> None:
    first = overview(plan(), store=tmp_path / "none")
    assert {line.seconds for line in first.lines} == {None}
    assert first.unknown == 12
    frame = run(tmp_path, prompts={"texts": PROMPTS[:1]}).frame()
    found = overview(plan(methods=[SELECTION, COSINE]), store=tmp_path)
    standard, selection, cosine = found.lines
    times = frame.groupby("method")["seconds"].median()
    assert standard.seconds == pytest.approx(4 * times["standard"])
    assert selection.seconds == pytest.approx(4 * times[selection.method])
    per_call = (frame["seconds"] / frame["calls"]).median()
    calls = nk.load_method(COSINE).cost(CountingModel()).calls
    assert cosine.seconds == pytest.approx(6 * calls * per_call)
    assert found.unknown == 0


def test_why_a_key_misses_is_the_field_that_differs(tmp_path: Path) -> None:
    def why(model: Any = None, **given: Any) -> list[str]:
        found = overview(plan(model, **given), store=tmp_path)
        return list(explain(found.cells[-1].job, found.store))

    assert why() == ["the store holds no image yet"]
    run(tmp_path, methods=[SELECTION, COSINE])
    assert why() == ["the store holds this very setting: only these prompts and seeds are new"]
    first, *others = why(methods=[SELECTION.replace("candidates=3", "candidates=4")])
    assert first.startswith("nearest in the store is selection(")
    assert others == ["method.candidates: stored 3, wanted 4"]
    _, *others = why(CountingModel(steps=4, width=0.25))
    assert others == ["model.width: stored 0.5, wanted 0.25", "model.steps: stored 2, wanted 4"]
    _, *others = why(budget={"calls": 9})
    assert others == ["budget.calls: stored (none), wanted 9"]


def test_why_a_score_is_lacking_is_the_fact_that_differs(
    tmp_path: Path, brightness: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.engine.toys import Brightness

    store, both = tmp_path / "store", ["truth", "brightness"]

    def why() -> list[str]:
        found = overview(plan(metrics=both, weights="tiny"), store=store)
        return list(explain_score(found.metrics["brightness"], found.store))

    assert why() == ["no image in the store has such a score"]
    run(store)
    assert why() == ["no image in the store has such a score"]
    run(store, metrics=both, weights="tiny")
    assert why() == ["only these images lack such a score"]
    (brightness / "retrained.txt").write_text("other weights")
    loading._loaded.cache_clear()
    folder_hash.cache_clear()
    assert why() == ["scores in the store are by other weights of it"]
    monkeypatch.setattr(Brightness, "version", "brighter")
    loading._loaded.cache_clear()
    first, *others = why()
    assert first.endswith("another metric of this name; it differs in")
    assert others == [f"version: stored {lines(store, 'metrics')[-1]['version']!r}, wanted 'brighter'"]


def test_settings_are_written_once_and_hash_to_their_ids(tmp_path: Path) -> None:
    from noisekit.hashing import digest

    run(tmp_path)
    run(tmp_path, seeds=3)
    rows = lines(tmp_path, "settings")
    assert len(rows) == 2
    assert all(digest(row["fields"]) == row["setting"] for row in rows)
    assert {row["setting"] for row in rows} == {row["setting"] for row in lines(tmp_path, "rows")}


# --- suites, budgets, stores -----------------------------------------------------------------------------------------


def test_rows_carry_what_their_suite_says(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        "\n".join(
            json.dumps({"prompt": text, "tag": text[-6:], "count": i}) for i, text in enumerate(PROMPTS[:2])
        )
    )
    (tmp_path / "b.txt").write_text(f"{PROMPTS[1]}\n{PROMPTS[2]}\n")
    suites = [str(tmp_path / "a.jsonl"), str(tmp_path / "b.txt")]
    with pytest.warns(UserWarning, match="1 of 2 prompts of 'b' are in an earlier suite"):
        run(tmp_path / "store", prompts=suites, seeds=1)
    about = {row["prompt"]: row for row in lines(tmp_path / "store", "rows")}
    assert [about[text]["suite"] for text in PROMPTS] == ["a", "a", "b"]
    assert about[PROMPTS[0]]["categories"] == {"tag": "circle"}
    assert about[PROMPTS[1]]["metadata"] == {"tag": "quares", "count": 1}


def test_budgets_of_a_plan_are_jobs_of_their_own(tmp_path: Path) -> None:
    frame = run(tmp_path, methods=[COSINE], budget=[{"calls": 8}, {"candidates": 1}]).frame()
    assert list(frame["method"].str.partition(" @ ")[2].unique()) == ["", "8 calls", "1 candidates"]
    assert len(frame) == 3 * 6


def test_a_full_disk_is_told_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, seeds=1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: type("Usage", (), {"free": 2**20}))
    run(tmp_path, seeds=1)  # there is nothing to make
    model = CountingModel()
    with pytest.raises(NoisekitError, match="1 MiB left"):
        run(tmp_path, model)
    assert model.batches == []


def test_units_travel_and_tools_leave_at_home_what_is_loaded(tmp_path: Path) -> None:
    found = overview(load_plan({"models": "tiny", "methods": "cosine", "limit": 2}), store=tmp_path / "none")
    unit = next(iter(found.cells[-1].units(2)))
    back = pickle.loads(pickle.dumps(unit))
    assert isinstance(back, Generation)
    assert [cell.id for cell in back.cells] == [cell.id for cell in unit.cells]  # type: ignore[union-attr]
    resources = Resources(tmp_path, "per_prompt", ("truth",), "tiny")
    assert resources.evaluator is resources.evaluator
    assert "evaluator" not in vars(pickle.loads(pickle.dumps(resources)))


def test_what_a_lost_worker_has_left_is_found(tmp_path: Path) -> None:
    found = overview(plan(seeds=3), store=tmp_path / "none")
    (unit,) = found.cells[0].units(100)
    assert isinstance(unit, Generation)
    ids = [cell.id for cell in unit.cells]
    for done in ([], ids[:1], ids[2:7], ids):
        rest = [cell.id for part in unit.without(done) for cell in part.cells]
        assert sorted(rest) == sorted(set(ids) - set(done))
    assert [len(part) for part in unit.halves()] == [6, 3]
    assert len(Scoring(({}, {}, {}), ("truth",)).halves()[0]) == 2


def test_unknown_executors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match="'inprocces'; did you mean 'inprocess'"):
        run(tmp_path / "store", executor="inprocces")
    with pytest.raises(BadValue, match="'inprocess:host' takes no address"):
        run(tmp_path / "store", executor="inprocess:host")
    assert not (tmp_path / "store").exists()
