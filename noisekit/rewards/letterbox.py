"""From an image to what HPSv2 reads: longest side to `size`, padded with zeros to a square, then normalised.

    x ← (pad(resize(x)) − mean) / std          resize: bicubic, antialiased, of the float tensor; the image is centred

HPSv2 resizes a float tensor where the other metrics resize 8-bit pictures by Pillow, so that its two passes differ by
the image's 8-bit values alone. Nothing is cropped, and the zeros are black before they are normalised.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch.nn.functional as F
from torch import Tensor

from noisekit.errors import CorruptWeights
from noisekit.rewards.folders import read_config
from noisekit.rewards.preprocess import normalised, to_bytes

FILE = "open_clip_config.json"


@dataclass(frozen=True)
class Letterbox:
    """size: side of the square input in pixels; mean and std: per channel, for values in [0, 1]."""

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Read `preprocess_cfg` of a checkpoint's open_clip_config.json."""
        config = read_config(folder / FILE, "preprocess_cfg")["preprocess_cfg"]
        try:
            (red, green, blue), (red_std, green_std, blue_std) = config["mean"], config["std"]
            return cls(int(config["size"]), (red, green, blue), (red_std, green_std, blue_std))
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptWeights(
                f"{str(folder / FILE)!r} holds no preprocess_cfg with size, mean and std ({type(error).__name__}: "
                f"{error}); copy it from the checkpoint again"
            ) from error

    def tensor_pixels(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] to (B, 3, size, size), normalised; differentiable."""
        height, width = images.shape[-2:]
        scale = self.size / max(height, width)
        # At least a pixel, however long and thin the image.
        resized = max(1, round(height * scale)), max(1, round(width * scale))
        if resized != (height, width):
            images = F.interpolate(images, resized, mode="bicubic", align_corners=False, antialias=True)
        below, right = self.size - resized[0], self.size - resized[1]
        padding = (right // 2, right - right // 2, below // 2, below - below // 2)
        return normalised(F.pad(images, padding), self.mean, self.std)

    def judged_pixels(self, images: Tensor) -> Tensor:
        """The same from 8-bit values; no gradient."""
        return self.tensor_pixels(to_bytes(images).to(images) / 255)
