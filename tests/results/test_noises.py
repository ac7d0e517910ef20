"""Noises that were kept are tested, measured and drawn; where none was, that is said."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import noisekit as nk
from noisekit.cli import main
from noisekit.errors import BadValue
from noisekit.models.analytic import AnalyticModel
from noisekit.noise import NoiseSource
from noisekit.pictures import read_picture
from noisekit.results.noises import COLUMNS, difference_images, gaussianity, latent_distances

PROMPTS = ["a red circle", "two blue squares", "a green triangle"]
METHOD = "cosine(steps=2, round_trip_steps=2, lr_per_element=0.3)"


@pytest.fixture(scope="module")
def model():
    return AnalyticModel(size=8, steps=4)


@pytest.fixture(scope="module")
def run(model, tmp_path_factory):
    store = tmp_path_factory.mktemp("noises") / "run"
    return nk.compare(
        model,
        METHOD,
        PROMPTS,
        seeds=2,
        metrics=["color_red"],
        weights="tiny",
        store=store,
        keep_noise=True,
        progress=False,
    )


def test_distances_are_those_of_noises_and_the_latents_that_they_lead_to(run, model):
    table = latent_distances(run, model).set_index("method")
    assert list(table.reset_index().columns[2:]) == COLUMNS[2:]
    standard, found = table.loc["standard"], table.loc[table.index != "standard"].iloc[0]
    assert standard["moved"] == 0
    assert found["moved"] > 0
    assert standard["initial"] == standard["found"] == pytest.approx(found["initial"])
    source = NoiseSource(model.noise_shape, [text for text in PROMPTS for _ in (0, 1)], [0, 1] * 3)
    conditioning = model.encode(list(source.prompts))
    with torch.no_grad():
        latents = [model.sample(noise, conditioning) for noise in (source.initial, source.draw(1))]
    expected = {
        "drawn": source.initial - source.draw(1),
        "initial": source.initial - latents[0],
        "unrelated": source.initial - latents[1],
    }
    for name, difference in expected.items():
        assert standard[name] == pytest.approx(difference.flatten(1).norm(dim=1).mean().item(), rel=1e-5)
    assert standard["drawn"] == pytest.approx((2 * 64) ** 0.5, rel=0.1)
    assert standard["initial"] < standard["unrelated"]


def test_pictures_show_what_moved_and_grey_where_nothing_did(run, tmp_path):
    written = difference_images(run, tmp_path / "pictures")
    assert len(written) == len(run) == 12
    by_method = dict(zip(run.frame()["image"], run.frame()["method"], strict=True))
    for path in written:
        picture = read_picture(path, "picture")
        assert picture.size == (3 * 128, 128)
        colours = picture.crop((256, 0, 384, 128)).getcolors()
        still = by_method[f"images/{path.name}"] == "standard"
        assert (len(colours) == 1) == still
        if still:
            assert colours[0][1] == (128, 128, 128)


def test_the_command_prints_tests_and_draws(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["noises", str(run.folder), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert all(test in said for test in ("norm", "distribution", "shape", "neighbours"))
    assert f"{Path(tmp_path / 'out')}: 12 pictures" in said.replace("\n", "")
    assert len(gaussianity(run)) == 2 * 4


def test_a_run_that_kept_no_noises_says_how_to_keep_them(model, tmp_path):
    run = nk.compare(
        model,
        ["standard"],
        PROMPTS[:1],
        metrics=["color_red"],
        weights="tiny",
        store=tmp_path,
        progress=False,
    )
    with pytest.raises(BadValue, match="kept no noises; run it into another store with keep_noise: true"):
        gaussianity(run)
