"""The networks of the distances: where their weights lie, and pictures to features."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image

from noisekit.errors import CorruptWeights, NotSupported
from noisekit.metrics.distances.inception import PUBLISHED
from noisekit.metrics.weights import folders
from noisekit.paths import given_path
from noisekit.rewards import locate
from noisekit.rewards.clip import CLIPTowers
from noisekit.rewards.folders import folder_hash
from noisekit.rewards.preprocess import Preprocess

#: The file as pytorch-fid and as torch-fidelity call it, and where the latter offers it.
FILES = (
    f"pt_inception-2015-12-05-{PUBLISHED}.pth",
    f"weights-inception-2015-12-05-{PUBLISHED}.pth",
)
ADDRESS = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILES[1]}"


class Embedding:
    """CMMD's: unit embeddings of a CLIP, of the square in the middle of a picture."""

    def __init__(self, folder: Path, device: str | torch.device = "cpu") -> None:
        self.towers = CLIPTowers(folder, torch.device(device))
        self.preprocess = Preprocess.from_folder(folder)
        self.name = f"{self.towers.backbone} at {self.preprocess.size}"
        self.identity: dict[str, Any] = {"clip": folder_hash(folder), "version": 1}

    @torch.no_grad()
    def __call__(self, pictures: Sequence[Image]) -> NDArray[np.float64]:
        pixels = self.preprocess.picture_pixels([_square(picture) for picture in pictures])
        return self.towers.see(pixels.to(self.towers.device)).double().cpu().numpy()


def clip_folder(weights: str) -> Path:
    """The CLIP of CMMD: the bundled one, the published one at 336 pixels, or a folder's."""
    return locate("clip_score", "tiny")[0] if weights == "tiny" else folders("cmmd", weights)["clip"]


def inception_file(weights: str) -> Path:
    """The file of the Inception of 2015: a path, or where torch's own hub keeps it.

    Raises:
        NotSupported: `weights` is "tiny": it has none.
        CorruptWeights: It is not there; the message says where it can be had.
    """
    if weights == "tiny":
        raise NotSupported("fid has no tiny weights; give the Inception's file, or measure by cmmd")
    if weights != "published":
        path = given_path(weights)
        places = [path] if path.is_file() else [path / name for name in FILES]
    else:
        home = Path(os.environ.get("TORCH_HOME") or Path("~/.cache/torch").expanduser())
        places = [home / "hub" / "checkpoints" / name for name in FILES]
    for place in places:
        if place.is_file():
            return place
    raise CorruptWeights(
        f"the Inception of fid is not on this machine: download {ADDRESS} (96 MB, Apache-2.0) and give its path as the "
        f"weights, or put it into {str(places[0].parent)!r}"
    )


def _square(picture: Image) -> Image:
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side))
