"""The published weights give the numbers that their authors print, on the authors' own pictures.

Needs the weights (`noisekit rewards fetch hps_v2.0 image_reward clip_score`) and a folder $NOISEKIT_GOLDEN with clones of
the authors' public repositories: ImageReward, HPSv2 and clipscore.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

from noisekit.rewards import load_reward
from noisekit.store.png import read_image

pytestmark = pytest.mark.weights


@pytest.fixture
def golden() -> Path:
    folder = os.environ.get("NOISEKIT_GOLDEN")
    if not folder:
        pytest.skip(
            "needs the authors' pictures: set NOISEKIT_GOLDEN to a folder with clones of their repositories"
        )
    return Path(folder)


def test_image_reward_of_its_readme(golden: Path) -> None:
    prompt = "a painting of an ocean with clouds and birds, day time, low depth field effect"
    reward = load_reward("image_reward", "published")
    pictures = [read_image(golden / "ImageReward" / "assets" / "images" / f"{i}.webp") for i in (1, 2, 3, 4)]
    found = [reward.judge(picture[None], [prompt]).item() for picture in pictures]
    assert found == pytest.approx([0.58116, 0.27453, -1.41318, -2.02957], abs=2e-3)


def test_hps_of_its_demonstration(golden: Path) -> None:
    picture = read_image(golden / "HPSv2" / "assets" / "demo_image.jpg")
    found = load_reward("hps_v2.0", "published").judge(picture[None], ["A cat with two horns on its head"])
    assert found.item() == pytest.approx(0.2876, abs=1e-3)


def test_clip_score_of_hessels_example(golden: Path) -> None:
    """The mean over its two pictures; its code rounds to half precision on a GPU."""
    folder = golden / "clipscore" / "example"
    reward = load_reward("clip_score_photo", "published")
    for name, expected in (("good", 0.8585), ("bad", 0.7153)):
        captions = json.loads((folder / f"{name}_captions.json").read_text())
        paths = {path.stem: path for path in (folder / "images").iterdir()}
        scores = [reward.judge(read_image(paths[image])[None], [text]) for image, text in captions.items()]
        assert torch.cat(scores).mean().item() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    "name", ["hps", "pick_score", "mps", "aesthetic", "clip_score_h14", "clip_score_l14"]
)
def test_the_others_give_numbers_of_their_usual_size(name: str) -> None:
    usual = {
        "hps": (0.05, 0.4),
        "pick_score": (10, 30),
        "mps": (-20, 30),
        "aesthetic": (1, 10),
        "clip_score_h14": (0, 45),
        "clip_score_l14": (5, 40),
    }
    picture = torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(0))
    score = load_reward(name, "published").judge(picture, ["coloured noise"]).item()
    assert usual[name][0] < score < usual[name][1]
