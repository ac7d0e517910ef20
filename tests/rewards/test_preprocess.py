"""The two passes agree with Pillow and with each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from noisekit.errors import CorruptWeights
from noisekit.rewards.preprocess import Preprocess

PLAIN = Preprocess(16, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def smooth(height: int, width: int) -> torch.Tensor:
    """An image without sharp edges, so that bicubic interpolation does not overshoot [0, 1]."""
    y, x = torch.meshgrid(torch.linspace(0, 3, height), torch.linspace(0, 3, width), indexing="ij")
    return torch.stack(
        [0.5 + 0.3 * torch.sin(y + x), 0.5 + 0.3 * torch.cos(y), 0.5 + 0.3 * torch.sin(2 * x)]
    )[None]


@pytest.mark.parametrize("shape", [(16, 16), (40, 40), (32, 48), (51, 33), (10, 12)])
def test_both_passes_agree_within_8_bit_rounding(shape: tuple[int, int]) -> None:
    pictures = smooth(*shape)
    difference = (PLAIN.tensor_pixels(pictures) - PLAIN.judged_pixels(pictures)).abs()
    assert PLAIN.judged_pixels(pictures).shape == (1, 3, 16, 16)
    assert difference.max() < 2.1 / 255


def test_the_judged_pass_is_pillows() -> None:
    pictures = torch.rand(1, 3, 33, 50, generator=torch.Generator().manual_seed(0))
    picture = Image.fromarray((pictures[0].permute(1, 2, 0) * 255).round().byte().numpy())
    expected = np.asarray(picture.resize((24, 16), Image.Resampling.BICUBIC).crop((4, 0, 20, 16)))
    judged = (PLAIN.judged_pixels(pictures)[0].permute(1, 2, 0) * 255).round().byte().numpy()
    assert (judged == expected).all()


def test_an_odd_margin_is_split_as_torchvision_or_as_transformers_does() -> None:
    """Of 19 columns 16 are kept: torchvision leaves out two on the left, transformers one."""
    pictures = torch.arange(19.0).div(20).expand(1, 3, 16, 19)
    for crop, left in (("round", 2), ("floor", 1)):
        pre = Preprocess(16, PLAIN.mean, PLAIN.std, crop)  # type: ignore[arg-type]
        expected = pictures[..., left : left + 16]
        torch.testing.assert_close(pre.tensor_pixels(pictures), expected)
        torch.testing.assert_close(pre.judged_pixels(pictures), expected, atol=0.51 / 255, rtol=0)


def test_at_native_size_only_the_normalisation_is_left() -> None:
    pictures = torch.rand(2, 3, 16, 16)
    pre = Preprocess(16, (0.1, 0.2, 0.3), (0.5, 0.25, 0.2))
    expected = (pictures - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / torch.tensor([0.5, 0.25, 0.2]).view(
        3, 1, 1
    )
    torch.testing.assert_close(pre.tensor_pixels(pictures), expected)


@pytest.mark.parametrize("size", ["224", '{"shortest_edge": 224}', '{"height": 224, "width": 224}'])
def test_reads_every_form_of_the_size(tmp_path: Path, size: str) -> None:
    text = f'{{"size": {size}, "image_mean": [0.1, 0.2, 0.3], "image_std": [1, 1, 1]}}'
    (tmp_path / "preprocessor_config.json").write_text(text)
    assert Preprocess.from_folder(tmp_path).size == 224


def config(size: str = "8", mean: str = "[0, 0, 0]", std: str = "[1, 1, 1]") -> str:
    return f'{{"size": {size}, "image_mean": {mean}, "image_std": {std}}}'


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[]", "7", "[" * 200_000, config(mean="[1]")),
        *(config(size) for size in ("0", "-8", "1e400", "1000000000", '"8"', "null", "[8]", "{}", "NaN")),
        *(config(mean=f"[0, 0, {value}]") for value in ("NaN", "1e400", '"0"', "null", "[0]")),
        *(config(std=f"[1, 1, {value}]") for value in ("NaN", "0", "-1", "1e400", "{}")),
    ],
    ids=lambda text: text[:60],
)
def test_refuses_other_files(tmp_path: Path, text: str) -> None:
    (tmp_path / "preprocessor_config.json").write_text(text)
    with pytest.raises(CorruptWeights, match=r"preprocessor_config\.json"):
        Preprocess.from_folder(tmp_path)
