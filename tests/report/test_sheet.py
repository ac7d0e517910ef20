"""Sheets of images for a paper: what is on them, how they are written, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from noisekit.errors import BadValue
from noisekit.report.sheet import Sheet, sheet
from tests.report.conftest import HOSTILE, PROMPTS, RENO_LONG


def test_a_sheet_takes_in_turn_a_gain_a_loss_and_a_typical_prompt(shown_run: Any) -> None:
    found = sheet(shown_run, 3, model="tiny-turbo")
    assert [row.reason.partition(" ")[0] for row in found.rows] == ["gain", "loss", "typical"]
    assert found.lines[0].label == "standard" and len(found.lines) == 3
    assert len({row.prompt for row in sheet(shown_run, 99, model="tiny-turbo").rows}) == len(PROMPTS)


def test_every_picture_stands_in_its_place(run: Any) -> None:
    """Pictures of one colour each are found again where prompt and method say."""
    colours = {}
    for number, row in enumerate(run.rows.to_dict("records")):
        colours[row["method"], row["prompt"], row["seed"]] = colour = (40 + number, 5 * (number % 40), 200)
        Image.new("RGB", (32, 32), colour).save(run.folder / row["image"])
    prompts = [HOSTILE, "two blue squares"]
    found = sheet(run, prompts, ["standard", "reno(steps=20)"], "tiny-turbo", seed=1)
    picture = np.asarray(found.image(100), dtype=int)
    assert picture.shape[1] == 300
    for line in found.lines:
        for prompt in prompts:
            own = np.abs(picture - colours[line.method, prompt, 1]).sum(-1) == 0
            assert own.sum() > 10_000
            rows, columns = np.nonzero(own)
            assert (columns.mean() > 150) == (line.method == RENO_LONG)
            assert (rows.mean() > picture.shape[0] / 2) == (prompt == prompts[1])


@pytest.mark.parametrize(("ending", "begins"), [("pdf", b"%PDF"), ("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_sheets_are_written_whole(shown_run: Any, tmp_path: Path, ending: str, begins: bytes) -> None:
    path = sheet(shown_run, [HOSTILE], model="tiny").write(tmp_path / f"figure.{ending}", 60)
    assert path.read_bytes().startswith(begins)
    if ending == "svg":
        assert "<script>document" not in path.read_text(encoding="utf-8")


def test_a_bad_picture_and_odd_letters_leave_a_sheet(run: Any) -> None:
    (run.folder / run.rows["image"][0]).write_bytes(b"no picture")
    run.rows["prompt"] = run.rows["prompt"].replace("a red circle", "$x^$ \x1b[2J 赤い丸")
    assert sheet(run, ["$x^$ \x1b[2J 赤い丸"], model="tiny").image(60).size[0] == 180


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "the run holds several models; choose one of tiny, tiny-turbo"),
        ({"model": "tyni"}, "did you mean"),
        ({"model": "tiny", "methods": ["cosine"]}, "unknown method of the run: 'cosine'"),
        ({"model": "tiny-turbo", "methods": ["reno"]}, "'reno' is 2 methods of the run"),
        ({"model": "tiny", "prompts": ["a cat"]}, "unknown prompt of the run: 'a cat'"),
        ({"model": "tiny", "prompts": 0}, "give 1 or more"),
        ({"model": "tiny", "seed": 7}, "no seed 7"),
    ],
)
def test_what_the_run_lacks_is_named(shown_run: Any, asked: dict[str, Any], words: str) -> None:
    with pytest.raises(BadValue, match=words):
        sheet(shown_run, **asked)


def test_other_endings_and_places_are_refused(shown_run: Any, tmp_path: Path) -> None:
    found: Sheet = sheet(shown_run, ["a red circle"], model="tiny")
    with pytest.raises(BadValue, match=r"figure .*does not end in \.pdf, \.png or \.svg"):
        found.write(tmp_path / "figure.jpeg")
    with pytest.raises(BadValue, match="cannot be written"):
        found.write(tmp_path / "nowhere" / "figure.pdf", 30)
