"""Folders of images: read a batch at a time, scored by one network after another if asked, and never twice."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor

import noisekit.rewards as rewards
from noisekit.cli import main
from noisekit.errors import BadValue
from noisekit.metrics import Evaluator
from noisekit.prompts import Prompt
from noisekit.scoring import scored
from noisekit.scoring.folder import match
from noisekit.scoring.scored import score_images
from noisekit.store.png import read_image, write_png

METRICS = ["clip_score", "color_red", "image_reward"]
LONG = "a red circle to the left of a blue square " * 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven pictures of two sizes; the fifth prompt is too long for all readers."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(7):
        side = 32 if i % 3 else 48
        noise = torch.rand(3, 32, side, generator=torch.Generator().manual_seed(i))
        write_png(pictures / f"{i}.png", noise, {})
    prompts = [
        "a red circle",
        "two blue squares",
        "a green square",
        "a red square",
        LONG,
        "a blue circle",
        "a red circle",
    ]
    (tmp_path / "prompts.txt").write_text("\n".join(prompts) + "\n")
    return tmp_path


@pytest.fixture
def pairs(folder: Path) -> list[scored.Pair]:
    return match(folder / "pictures", folder / "prompts.txt")


class Reading:
    """Counts images that are read, and how many of them are in memory at once."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.read, self.alive, self.most, self.stop_at = 0, 0, 0, stop_at

    def __call__(self, path: Path) -> Tensor:
        if self.read == self.stop_at:
            raise KeyboardInterrupt
        image = read_image(path)
        self.read, self.alive = self.read + 1, self.alive + 1
        self.most = max(self.most, self.alive)
        weakref.finalize(image, self.gone)
        return image

    def gone(self) -> None:
        self.alive -= 1


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Reading:
    counter = Reading()
    monkeypatch.setattr(scored, "read_image", counter)
    return counter


def load(names: Sequence[str]) -> Evaluator:
    return Evaluator(names, batch=2)


@pytest.mark.filterwarnings("ignore:a reward reads only")
def test_scores_are_the_evaluators_whatever_the_batch_and_order(
    pairs: list[scored.Pair], reading: Reading
) -> None:
    frame, about = score_images(pairs, METRICS, load)
    assert reading.most <= 4  # a batch, and the one before it that is not yet gone
    assert reading.read == 7
    whole = Evaluator(METRICS)([read_image(path) for path, _ in pairs], [prompt for _, prompt in pairs])
    torch.testing.assert_close(
        torch.tensor(frame[METRICS].to_numpy()), torch.tensor(whole.to_numpy()), rtol=1e-4, atol=1e-4
    )
    assert list(frame["image"]) == [f"{i}.png" for i in range(7)]
    tokens = rewards.load_reward("clip_score").cut([LONG])[0]
    assert [bool(text) for text in frame["cut"]] == [False] * 4 + [True] + [False] * 2
    assert frame["cut"][4].startswith(f"clip_score {tokens}, image_reward ")
    assert list(about) == METRICS and about["color_red"]["identity"]["reward"] == "color_red"


@pytest.mark.filterwarnings("ignore:a reward reads only")
def test_low_memory_gives_the_same_and_holds_one_network(
    pairs: list[scored.Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    order = METRICS[::-1]
    expected, _ = score_images(pairs, order, load)
    rewards.release()
    living: list[weakref.ref[object]] = []
    together = []

    def watched(names: Sequence[str]) -> Evaluator:
        together.append(sum(reference() is not None for reference in living))
        evaluator = load(names)
        living.extend(weakref.ref(metric.reward) for metric in evaluator.metrics.values())  # type: ignore[attr-defined]
        return evaluator

    gc.collect()
    gc.disable()  # what goes has to go at once
    frame, _ = score_images(pairs, order, watched, low_memory=True)
    gc.enable()
    pd.testing.assert_frame_equal(frame, expected)
    assert together == [0, 0, 0] and len(living) == 3


@pytest.mark.filterwarnings("ignore:a reward reads only")
@pytest.mark.parametrize("low_memory", [False, True])
def test_an_interrupted_call_goes_on_where_it_was(
    low_memory: bool, pairs: list[scored.Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, _ = score_images(pairs, METRICS, load)
    kept = tmp_path / "scores.csv.part"
    first = Reading(stop_at=5)
    monkeypatch.setattr(scored, "read_image", first)
    with pytest.raises(KeyboardInterrupt):
        score_images(pairs, METRICS, load, kept=kept, low_memory=low_memory)
    assert len(kept.read_text().splitlines()) == (4 if low_memory else 12)
    with kept.open("a") as file:
        file.write('{"image": "half a li')  # as a process leaves it that is killed in the middle
    second = Reading()
    monkeypatch.setattr(scored, "read_image", second)
    frame, _ = score_images(pairs, METRICS, load, kept=kept, low_memory=low_memory)
    pd.testing.assert_frame_equal(frame, expected)
    assert second.read == (3 + 7 + 7 if low_memory else 3)
    assert not kept.exists()


def test_what_is_kept_belongs_to_image_prompt_and_metric(pairs: list[scored.Pair], tmp_path: Path) -> None:
    kept = tmp_path / "part"

    def keep(pairs: list[scored.Pair]) -> int:
        """Fills the file, as a call does that is stopped at the very end, and gives the number of its lines."""
        memory = scored.Memory(kept, pairs)
        memory.forget = lambda: None  # type: ignore[method-assign]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(scored, "Memory", lambda *_: memory)
            score_images(pairs, ["color_red"], load, kept=kept)
        return len(kept.read_text().splitlines())

    assert keep(pairs) == 7 and keep(pairs) == 7
    others = [(path, Prompt("another")) if i == 2 else (path, own) for i, (path, own) in enumerate(pairs)]
    assert keep(others) == 8
    write_png(pairs[0][0], torch.zeros(3, 40, 40), {})
    assert keep(pairs) == 9
    assert keep(pairs[::-1]) == 9
    frame, _ = score_images(pairs, ["color_green"], load, kept=kept)
    assert frame["color_green"][0] == 0


def test_a_picture_that_does_not_read_stops_nothing_else(pairs: list[scored.Pair], tmp_path: Path) -> None:
    whole = pairs[5][0].read_bytes()
    pairs[5][0].write_bytes(b"no picture")
    kept = tmp_path / "part"
    with pytest.raises(BadValue, match=r"5\.png"):
        score_images(pairs, ["color_red"], load, kept=kept)
    assert len(kept.read_text().splitlines()) == 4
    pairs[5][0].write_bytes(whole)
    assert len(score_images(pairs, ["color_red"], load, kept=kept).frame) == 7


def test_the_command_says_what_was_cut_and_writes_what_the_metrics_are(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    command = "score pictures --prompts prompts.txt --metrics clip_score,mps_0.3 --weights tiny --low-memory"
    assert main([*command.split(), "--batch", "3", "--dtype", "bfloat16", "-o", "s.json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "1 of 7 prompts were cut" in out and "overall, threshold 0.3, bfloat16" in out
    written = json.loads((folder / "s.json").read_text())
    assert written["metrics"]["mps_0.3"]["identity"]["dtype"] == "bfloat16"
    assert written["scores"][4]["cut"].startswith("clip_score ")
    assert not list(folder.glob("*.part"))


def test_missing_weights_are_named_before_anything_is_read(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, reading: Reading
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.chdir(folder)
    assert main("score pictures --prompts prompts.txt --metrics color_red,hps".split()) == 2
    said = capsys.readouterr().err
    assert "`noisekit rewards fetch hps`" in said and "(2 GB)" in said and "Traceback" not in said
    assert main("score pictures --prompts prompts.txt --metrics hps --weights gone.pt".split()) == 2
    assert "'gone.pt'" in capsys.readouterr().err
    for option, value in (("--device", "cuda:77"), ("--device", "moon"), ("--dtype", "int8")):
        assert main(f"score pictures --prompts prompts.txt --weights tiny {option} {value}".split()) == 2
        said = capsys.readouterr().err
        assert repr(value) in said and "Traceback" not in said
    assert reading.read == 0 and sorted(path.name for path in folder.iterdir()) == ["pictures", "prompts.txt"]


@pytest.mark.filterwarnings("ignore:a reward reads only", "ignore:the text encoder")
def test_a_run_records_the_prompts_that_were_cut(tmp_path: Path) -> None:
    from noisekit.comparison import compare
    from noisekit.store.store import Store

    metrics = ["image_reward", "color_red"]
    compare(["tiny"], ["standard"], ["a red circle", LONG], metrics=metrics, store=tmp_path / "run")
    rows = Store.read(tmp_path / "run").lines("scores")
    cut = [(row["metric"], row["cut"]) for row in rows if row["cut"]]
    assert len(rows) == 4 and cut == [("image_reward", rewards.load_reward("image_reward").cut([LONG])[0])]


def test_a_metric_of_the_weights_that_were_climbed_is_no_evidence(tmp_path: Path) -> None:
    """Whatever its convention; another tower, or another threshold of other weights, is."""
    from noisekit.comparison import compare

    metrics = ["clip_score", "clip_score_hessel", "clip_score_photo", "hps"]
    method = "best_of(n=2, rewards='clip_score_raw', weights='tiny')"
    run = compare(["tiny-turbo"], [method], ["a red circle"], metrics=metrics, store=tmp_path / "run")
    (resolved,) = set(run.frame()["method"]) - {"standard"}
    assert run.optimised(resolved) == {"clip_score_raw", *metrics[:3]}
    assert run.optimised("standard") == frozenset()
