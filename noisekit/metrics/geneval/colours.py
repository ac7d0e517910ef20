"""The colours of objects, named by a CLIP that was trained on neither: that of the text nearest to the cut-out object.

    colour(x) = argmax over colours of cos(E_image(x), e_c)        e_c = the unit mean of E_text over three sentences

x is the object's box with everything outside its mask painted grey, resized and cropped as the tower's own images are. The
nearest colour is taken however far it lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from noisekit.metrics.detectors.detection import Detection
from noisekit.metrics.geneval.rules import COLOURS
from noisekit.rewards.clip import CLIPTowers, unit
from noisekit.rewards.folders import folder_hash
from noisekit.rewards.preprocess import Preprocess

#: What lies outside a mask.
GREY = (153, 153, 153)
SENTENCES = ("a photo of a {} {}", "a photo of a {}-colored {}", "a photo of a {} object")


class ColourNamer:
    """A folder with a `CLIPModel`, its tokenizer and its preprocessor_config.json."""

    def __init__(self, folder: Path, device: str | torch.device = "cpu") -> None:
        self.towers = CLIPTowers(folder, torch.device(device))
        self.preprocess = Preprocess.from_folder(folder)
        self.name = self.towers.backbone
        self.identity: dict[str, Any] = {"colours": folder_hash(folder), "names": COLOURS, "version": 1}
        self._texts = lru_cache(maxsize=None)(self._embedded)

    @torch.no_grad()
    def __call__(self, picture: Image.Image, objects: Sequence[Detection], label: str) -> list[str]:
        """The colour of each object of a class in a picture."""
        if not objects:
            return []
        pixels = self.preprocess.picture_pixels([cut_out(picture, one) for one in objects])
        likeness = self.towers.see(pixels.to(self.towers.device)) @ self._texts(label).T
        return [COLOURS[i] for i in likeness.argmax(-1).tolist()]

    def _embedded(self, label: str) -> Tensor:
        texts = [sentence.format(colour, label) for colour in COLOURS for sentence in SENTENCES]
        (features,) = self.towers.text(texts)
        return unit(features.view(len(COLOURS), len(SENTENCES), -1).mean(1))


def cut_out(picture: Image.Image, one: Detection) -> Image.Image:
    """The box of an object, grey outside its mask."""
    if one.mask is not None:
        empty = Image.new("RGB", picture.size, GREY)
        picture = Image.composite(picture, empty, Image.fromarray(one.mask))
    x1, y1, x2, y2 = (round(side) for side in one.box)
    return picture.crop((x1, y1, x2, y2))
