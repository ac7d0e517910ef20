"""HPSv2's preparation against torchvision's resize and a pad by hand, and what its two passes share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import resize

from noisekit.errors import CorruptWeights
from noisekit.rewards.letterbox import Letterbox

MEAN, STD = (0.1, 0.2, 0.3), (0.5, 0.25, 0.2)
BOX = Letterbox(16, MEAN, STD)


def expected(picture: torch.Tensor) -> torch.Tensor:
    """One image (3, H, W): the longest side becomes 16, an odd margin is larger at the bottom and on the right."""
    _, height, width = picture.shape
    inner = (
        (16, max(1, round(16 * width / height)))
        if height >= width
        else (max(1, round(16 * height / width)), 16)
    )
    small = resize(picture, list(inner), InterpolationMode.BICUBIC, antialias=True)
    canvas = torch.zeros(3, 16, 16)
    top, left = (16 - inner[0]) // 2, (16 - inner[1]) // 2
    canvas[:, top : top + inner[0], left : left + inner[1]] = small
    return torch.stack([(canvas[i] - MEAN[i]) / STD[i] for i in range(3)])


@pytest.mark.parametrize(
    "shape", [(16, 16), (40, 40), (32, 48), (51, 33), (10, 12), (16, 11), (9, 16), (300, 7)]
)
def test_the_longest_side_fits_and_the_rest_is_black(shape: tuple[int, int]) -> None:
    pictures = torch.rand(2, 3, *shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(BOX.tensor_pixels(pictures), torch.stack([expected(p) for p in pictures]))
    stored = (pictures * 255).round() / 255
    torch.testing.assert_close(BOX.judged_pixels(pictures), torch.stack([expected(p) for p in stored]))


def test_nothing_is_cropped() -> None:
    """Every pixel of a wide image has a gradient; the centre crop of the other metrics leaves the sides without."""
    pictures = torch.rand(1, 3, 20, 60).requires_grad_()
    (gradient,) = torch.autograd.grad(BOX.tensor_pixels(pictures).square().sum(), pictures)
    assert (gradient.abs().sum(1) > 0).all()


def test_reads_open_clips_configuration(tmp_path: Path) -> None:
    file = tmp_path / "open_clip_config.json"
    good = {"size": 224, "mean": MEAN, "std": STD}
    file.write_text(json.dumps({"model_cfg": {}, "preprocess_cfg": good}))
    assert Letterbox.from_folder(tmp_path) == Letterbox(224, MEAN, STD)
    for bad in ({}, {**good, "mean": [1]}, {**good, "size": "large"}, {**good, "std": 1}, []):
        file.write_text(json.dumps({"preprocess_cfg": bad}))
        with pytest.raises(CorruptWeights, match=r"open_clip_config.*size, mean and std"):
            Letterbox.from_folder(tmp_path)
