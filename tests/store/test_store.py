"""The store: what it refuses, what it survives, and what its files hold."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

from noisekit.errors import BadValue
from noisekit.store.manifest import SCHEMA
from noisekit.store.png import read_image, write_png
from noisekit.store.store import Store
from tests.store.lines import image


def test_rows_of_several_writers_are_read_in_the_order_of_writing(tmp_path: Path) -> None:
    with Store.prepare(tmp_path, "per_prompt") as one, Store.prepare(tmp_path, "per_prompt") as two:
        one.append("rows", [image("a")])
        two.append("rows", [image("b"), image("c")])
        one.append("rows", [])
        one.append("rows", [image("d", prompt="ein grüner Kreis\n<b>")])
        rows = one.lines("rows")  # before any file is closed
    assert {row["id"] for row in rows} == set("abcd")
    assert [row["id"] for row in rows].index("a") == 0
    assert len(list((tmp_path / "rows").iterdir())) == 2
    frames = [pd.read_json(file, lines=True) for file in (tmp_path / "rows").iterdir()]
    assert sorted(pd.concat(frames)["id"]) == list("abcd")


def test_a_line_that_was_cut_off_is_passed_over_and_a_damaged_one_is_not(tmp_path: Path) -> None:
    with Store.prepare(tmp_path, "per_prompt") as store:
        store.append("rows", [image("a"), image("ü")])
    (file,) = (tmp_path / "rows").iterdir()
    whole = file.read_bytes()
    for cut in range(whole.index(b"\n") + 1, len(whole)):
        file.write_bytes(whole[:cut])
        ids = [row["id"] for row in Store.read(tmp_path).lines("rows")]
        assert ids == (["a", "ü"] if cut == len(whole) - 1 else ["a"])  # only the line break is missing
    file.write_bytes(whole[20:])
    with pytest.raises(BadValue, match=r"line 1 of .* is damaged"):
        Store.read(tmp_path).lines("rows")


def test_numbers_that_are_none_are_null(tmp_path: Path) -> None:
    with Store.prepare(tmp_path, "per_prompt") as store:
        store.append("scores", [{"values": {"truth": math.nan, "list": [1.0, math.inf]}}])
    (file,) = (tmp_path / "scores").iterdir()
    assert json.loads(file.read_text())["values"] == {"truth": None, "list": [1.0, None]}


def test_the_manifest_says_what_ran_where(tmp_path: Path) -> None:
    with Store.prepare(tmp_path / "new" / "store", "shared") as store:
        manifest = store.manifest
    assert manifest["schema"] == SCHEMA
    assert manifest["noise"] == "shared"
    assert manifest["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert manifest["hardware"]["cores"] >= 1
    with Store.prepare(tmp_path / "new" / "store", "shared") as again:
        assert again.manifest == manifest


def test_other_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    (tmp_path / "file").touch()
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "manifest.json").write_text('{"schema": 99}')
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text('{"sch')
    for name, words in {
        "photos": "holds other files",
        "file": "cannot be written",
        "file/below": "cannot be written",
        "later": "has schema 99",
        "broken": "does not read as the manifest",
    }.items():
        with pytest.raises(BadValue, match=words) as caught:
            Store.prepare(tmp_path / name, "per_prompt")
        assert name in str(caught.value)
    with pytest.raises(BadValue, match="is no run"):
        Store.read(tmp_path / "photos")
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.jpg"]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store.prepare(tmp_path, "per_prompt")

    def denied(self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", denied)  # the tests may run as somebody who is allowed everything
    with pytest.raises(BadValue, match="cannot be written: Permission denied"):
        Store.prepare(tmp_path, "per_prompt")


def test_an_image_survives_with_its_parameters(tmp_path: Path) -> None:
    drawn = torch.arange(3 * 8 * 8).view(3, 8, 8) / 191
    prompt = "<script>alert('ü')</script>\n…"
    write_png(tmp_path / "i.png", drawn, {"prompt": prompt, "seed": 3, "budget": {"calls": None}})
    with Image.open(tmp_path / "i.png") as file:
        assert file.text == {"prompt": prompt, "seed": "3", "budget": '{"calls": null}'}  # type: ignore[attr-defined]
    back = read_image(tmp_path / "i.png")
    assert (back - drawn).abs().max() <= 0.5 / 255 + 1e-6
    write_png(tmp_path / "again.png", back, {})
    assert (read_image(tmp_path / "again.png") == back).all()


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("hello")
    with pytest.raises(BadValue, match=r"x\.png"):
        read_image(tmp_path / "x.png")
