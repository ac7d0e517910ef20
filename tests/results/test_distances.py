"""Distances of a run's arms from a folder of pictures: whose images lie nearer, by CMMD and by FID of a tiny Inception."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from noisekit.cli import main
from noisekit.errors import BadValue, CorruptWeights, NotSupported
from noisekit.metrics.distances.cmmd import cmmd
from noisekit.metrics.distances.embedding import Embedding, clip_folder, inception_file
from noisekit.metrics.distances.frechet import Gaussian, curve, frechet, infinity
from noisekit.results import load_run
from noisekit.results.distances import distances
from noisekit.store.store import Store
from noisekit.world import draw, sample_scene
from tests.store import lines

COUNT = 48


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose method draws clean scenes and whose standard draws poor ones, and a reference of clean scenes."""
    home = tmp_path_factory.mktemp("distances")
    rng = np.random.default_rng(0)
    scenes = [sample_scene(rng) for _ in range(COUNT)]
    (home / "reference/inner").mkdir(parents=True)
    for i, picture in enumerate(draw(scenes, rng)):
        pixels = (picture.transpose(1, 2, 0) * 255).round().astype(np.uint8)
        side = 32 if i % 3 else 40  # references come in any sizes
        Image.fromarray(pixels).resize((side, side)).save(
            home / "reference" / ("inner" if i % 2 else "") / f"{i}.png"
        )
    with Store.prepare(home / "run", "per_prompt") as store:
        for method, quality in (("standard", 0.0), ("clean", 1.0)):
            for i, picture in enumerate(draw(scenes, rng, quality)):
                key = f"{method}-{i}"
                about = {"method": method, "setting": method, "model": "tiny", "seed": i}
                image = store.save_image(key, torch.from_numpy(picture), {})
                store.append("rows", [lines.image(key, **about, image=image)])
    return home


def test_cmmd_of_arms(folder: Path) -> None:
    run = load_run(folder / "run")
    found = distances(run, folder / "reference", ["cmmd"], "tiny")
    table = found.table.set_index("method")
    assert table["images"].tolist() == table["reference"].tolist() == [COUNT, COUNT]
    assert 0 < table.loc["clean", "cmmd"] < table.loc["standard", "cmmd"]
    embedding = Embedding(clip_folder("tiny"))
    own = [row["image"] for _, row in run.frame().iterrows() if row["method"] == "clean"]
    pictures = [Image.open(run.folder / name) for name in own]
    paths = sorted((folder / "reference").rglob("*.png"))
    vectors = np.concatenate([embedding([Image.open(path)]) for path in paths])
    assert table.loc["clean", "cmmd"] == pytest.approx(cmmd(embedding(pictures), vectors), abs=1e-4)
    assert found.networks == {"cmmd": embedding.name}
    assert found.notes == []


class Colours:
    """In the Inception's place: the means of a picture's colours and of its left half."""

    name = "colours"

    def __init__(self, file: Path, device: str, resize: str) -> None: ...

    def __call__(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        pixels = [torch.from_numpy(np.array(picture)).double() for picture in pictures]
        return torch.stack(
            [torch.cat([x.mean((0, 1)), x[:, : x.shape[1] // 2].mean((0, 1))]) for x in pixels]
        )


def test_fid_of_arms_and_its_limit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the network gives goes into FID and its limit as it does alone."""
    monkeypatch.setattr("noisekit.results.distances.Inception", Colours)
    monkeypatch.setattr("noisekit.results.distances.inception_file", lambda weights: Path(weights))
    run = load_run(folder / "run")
    found = distances(run, folder / "reference", ["fid"], "file", limit=True)
    paths = sorted((folder / "reference").rglob("*.png"))
    see = Colours(Path(), "", "")
    reference = Gaussian.of(see([Image.open(path) for path in paths]).numpy())
    frame = run.frame()
    for row in found.table.itertuples():
        own = frame.loc[frame["method"] == row.method, "image"]
        features = see([Image.open(run.folder / name) for name in own]).numpy()
        assert row.fid == pytest.approx(frechet(Gaussian.of(features), reference))
        assert row.fid_infinity == pytest.approx(infinity(*curve(features, reference)))
    assert found.notes == ["fid of fewer pictures than its 2048 features is far above that of many"]


def test_refusals(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = load_run(folder / "run")
    with pytest.raises(BadValue, match="unknown distance 'fdi'"):
        distances(run, folder / "reference", ["fdi"])
    with pytest.raises(BadValue, match="is not a folder of pictures"):
        distances(run, tmp_path / "none")
    with pytest.raises(BadValue, match="holds no picture"):
        distances(run, tmp_path)
    with pytest.raises(NotSupported, match="fid has no tiny weights"):
        inception_file("tiny")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(CorruptWeights, match=r"download https://github\.com/.*96 MB, Apache-2\.0"):
        distances(run, folder / "reference", ["fid"])
    with pytest.raises(CorruptWeights, match="`hf download openai/clip-vit-large-patch14-336`"):
        distances(run, folder / "reference", ["cmmd"])
    kept = tmp_path / "hub/checkpoints/pt_inception-2015-12-05-6726825d.pth"
    kept.parent.mkdir(parents=True)
    kept.touch()
    assert inception_file("published") == kept
    assert inception_file(str(kept.parent)) == kept


def test_the_command_prints_a_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["distance", str(folder / "run"), "--reference", str(folder / "reference")]
    assert main([*command, "--metrics", "cmmd", "--weights", "tiny"]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("standard", "clean", "cmmd", "CLIP ViT-"))
