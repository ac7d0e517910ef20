"""From an image to what a CLIP tower reads: shortest side to `size`, centre crop, normalise.

    x ← (crop(resize(x)) − mean) / std         resize: bicubic, antialiased (a = −1/2, as Pillow's)

Two passes give the same result up to rounding. `tensor_pixels` stays in floating point and has a gradient everywhere:
bicubic overshoot is kept, since clamping would cut the gradient there. `judged_pixels` is what published scores are made
with: 8-bit values, resized by Pillow. At the native size both only normalise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, Self

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from noisekit.errors import CorruptWeights
from noisekit.files import read_json

FILE = "preprocessor_config.json"
#: Pixels of a side, far beyond any published network's.
LARGEST = 8192
#: What CLIP's images are normalised by, and those of all the published rewards.
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class Preparation(Protocol):
    """How a reward makes images (B, 3, H, W) in [0, 1] ready, for climbing and for judging."""

    def tensor_pixels(self, images: Tensor) -> Tensor: ...

    def judged_pixels(self, images: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Preprocess:
    """size: side of the square input in pixels; mean and std: per channel, for values in [0, 1].

    crop: what an odd margin is split by. "round" is torchvision's way, half to even, and so that of OpenAI's code and
    ImageReward; "floor" is transformers', with whose processor PickScore and MPS are published.
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    crop: Literal["round", "floor"] = "round"

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Read a checkpoint's preprocessor_config.json, whose size is a number or {"shortest_edge": number}.

        An entry "crop" beside it is ours.
        """
        file = folder / FILE
        try:
            config = read_json(file)
            size = config["size"]
            red, green, blue = config["image_mean"]
            deviations = config["image_std"]
            edge = size if isinstance(size, int) else size.get("shortest_edge") or size["height"]
            crop = config.get("crop", "round")
            if not 1 <= int(edge) <= LARGEST or crop not in ("round", "floor"):
                raise ValueError(f"size {edge!r} and crop {crop!r} are no picture's")
            if not all(abs(value) < math.inf for value in (red, green, blue)) or not all(
                0 < value < math.inf for value in deviations
            ):
                raise ValueError("its means and deviations are no finite numbers")
            return cls(int(edge), (red, green, blue), (deviations[0], deviations[1], deviations[2]), crop)
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
            raise CorruptWeights(
                f"{str(file)!r} could not be read as a CLIP preprocessor's configuration with size, image_mean and "
                f"image_std ({type(error).__name__}: {error}); copy it from the checkpoint again"
            ) from error

    def tensor_pixels(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] to (B, 3, size, size), normalised; differentiable."""
        height, width = images.shape[-2:]
        if (resized := self._resized(height, width)) != (height, width):
            images = F.interpolate(images, resized, mode="bicubic", align_corners=False, antialias=True)
        left, top, right, bottom = self._window(*resized)
        return normalised(images[..., top:bottom, left:right], self.mean, self.std)

    def judged_pixels(self, images: Tensor) -> Tensor:
        """The same from 8-bit values, resized by Pillow; no gradient."""
        return self.picture_pixels(to_pillow(images)).to(images)

    def picture_pixels(self, pictures: Sequence[Image.Image]) -> Tensor:
        """The same of 8-bit RGB pictures of any sizes."""
        pixels = torch.stack([self._judged(picture) for picture in pictures])
        return normalised(pixels, self.mean, self.std)

    def _judged(self, picture: Image.Image) -> Tensor:
        height, width = self._resized(picture.height, picture.width)
        if (width, height) != picture.size:
            picture = picture.resize((width, height), Image.Resampling.BICUBIC)
        pixels = np.asarray(picture.crop(self._window(height, width)))
        return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        short = min(height, width)
        return self.size * height // short, self.size * width // short

    def _window(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of the centre crop."""
        halved = math.floor if self.crop == "floor" else round
        top, left = halved((height - self.size) / 2), halved((width - self.size) / 2)
        return left, top, left + self.size, top + self.size


class AsItIs:
    """No preparation but the 8 bits of a judged image."""

    def tensor_pixels(self, images: Tensor) -> Tensor:
        return images

    def judged_pixels(self, images: Tensor) -> Tensor:
        return to_bytes(images).to(images) / 255


def normalised(pixels: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """(x − mean) / std, channel by channel, of (..., 3, H, W)."""
    return (pixels - pixels.new_tensor(mean).view(3, 1, 1)) / pixels.new_tensor(std).view(3, 1, 1)


def to_bytes(images: Tensor) -> Tensor:
    """Images (B, 3, H, W) in [0, 1] with 8 bits a channel."""
    return (images.detach().float().nan_to_num(0).clamp(0, 1) * 255).round().to(torch.uint8)


def to_pillow(images: Tensor) -> list[Image.Image]:
    """Images (B, 3, H, W) in [0, 1] as 8-bit RGB pictures."""
    return [Image.fromarray(picture) for picture in to_bytes(images).permute(0, 2, 3, 1).cpu().numpy()]
