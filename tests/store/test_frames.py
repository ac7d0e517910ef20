"""Frames in a store: a contact sheet that is looked at and read back, and an animation beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import noisekit as nk
from noisekit.errors import BadValue, NotSupported
from noisekit.models.analytic import AnalyticModel
from noisekit.results.distances import distances
from noisekit.rewards import load_reward
from noisekit.store.png import read_image, read_parameters, write_png


@settings(max_examples=12)
@given(frames=st.integers(1, 26), height=st.integers(1, 5), width=st.integers(1, 5))
def test_a_contact_sheet_reads_back(
    tmp_path_factory: pytest.TempPathFactory, frames: int, height: int, width: int
) -> None:
    file = tmp_path_factory.mktemp("sheets") / "sheet.png"
    images = torch.randint(256, (frames, 3, height, width)) / 255
    write_png(file, images, {"seed": 3})
    assert torch.equal(read_image(file), images)
    assert read_parameters(file)["seed"] == "3"
    with Image.open(file.with_suffix(".webp")) as played:
        assert getattr(played, "n_frames", 1) <= frames  # those that repeat the last are shown longer
        assert played.size == (width, height)


def test_a_sheet_that_was_cut_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "sheet.png"
    write_png(file, torch.rand(5, 3, 4, 4), {})
    with Image.open(file) as sheet:
        told = sheet.text  # type: ignore[attr-defined]
        from PIL.PngImagePlugin import PngInfo

        chunks = PngInfo()
        for name, value in told.items():
            chunks.add_itxt(name, value)
        sheet.crop((0, 0, 11, 8)).save(file, pnginfo=chunks)
    with pytest.raises(BadValue, match="5 frames, and 11 × 8 pixels do not divide into 3 × 2"):
        read_image(file)


def test_a_comparison_of_sequences(tmp_path: Path) -> None:
    """Images, noises, scores, diversity and report of a model that makes frames, and nothing is made twice."""
    model = AnalyticModel(steps=1, frames=3, size=8)
    about = {
        "prompts": ["a red circle", "two blue squares"],
        "seeds": 2,
        "metrics": ["clip_score", "truth"],
        "weights": "tiny",
        "progress": False,
        "keep_noise": True,
    }
    methods = ["standard", "selection(candidates=2, round_trip_steps=2)"]
    run = nk.compare(models=[model], methods=methods, store=tmp_path, **about)
    frame = run.frame()
    assert len(frame) == 8
    image = run.image(frame["image"][0])
    assert image.shape == (3, 3, 8, 8)
    assert run.noise(frame["image"][0]).shape == (3, 1, 8, 8)
    reward = load_reward("clip_score", "tiny")
    text = frame["prompt"][0]
    by_frame = [reward.judge(one[None], [text]).item() for one in image]
    assert frame["clip_score"][0] == pytest.approx(sum(by_frame) / 3, abs=1e-4)
    sheets = {file.name for file in (tmp_path / "images").glob("*.png")}
    assert len(sheets) == len(list((tmp_path / "images").glob("*.webp"))) == 8
    again = nk.compare(models=[model], methods=methods, store=tmp_path, **about)
    assert again.frame().equals(frame)
    with pytest.raises(
        NotSupported, match="holds sequences of frames, and fid and cmmd compare single pictures"
    ):
        distances(run, tmp_path / "images", ["cmmd"], "tiny")
    assert run.noise_analysis().frequencies["found"].notna().all()
    page = Path(run.report()).read_text()
    assert page.count("data:image/webp") >= 4
