"""CLIPScore: how well image and caption agree, by the angle between their CLIP embeddings.

    percent    100 · cos(E_image(x), E_text(c))                                       −100 … 100
    raw        cos(E_image(x), E_text(c))                                               −1 … 1
    hessel     2.5 · max(cos(E_image(x), E_text(c)), 0)                                  0 … 2.5

The unclamped percentage is one number for climbing and for judging: its gradient vanishes nowhere, and it is the scale of
ReNO's published weight (0.01 adds the plain cosine). Hessel, Holtzman, Forbes, Le Bras, Choi 2021, "CLIPScore",
arXiv 2104.08718, print the last, with ViT-B/32 and the words "A photo depicts " before every caption. A score says nothing
without its tower, which stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from noisekit.errors import unknown
from noisekit.rewards.base import Reward, single_frames
from noisekit.rewards.clip import CLIPTowers

#: By convention: how the version reads, the factor of the cosine, and the range.
CONVENTIONS: dict[str, tuple[str, float, tuple[float, float]]] = {
    "percent": ("100 cos", 100.0, (-100.0, 100.0)),
    "raw": ("cos", 1.0, (-1.0, 1.0)),
    "hessel": ("2.5 max(cos, 0)", 2.5, (0.0, 2.5)),
}


class CLIPScore(Reward):
    """A folder with a `CLIPModel`, its tokenizer and its preprocessor_config.json.

    convention: one of `CONVENTIONS`; prefix: words before every prompt.
    """

    name = "clip_score"
    version = "100 cos"
    reads_prompt = True

    def __init__(
        self,
        folder: Path,
        weights: str,
        device: str | torch.device,
        *,
        convention: str = "percent",
        prefix: str = "",
        **settings: Any,
    ) -> None:
        if convention not in CONVENTIONS:
            raise unknown("convention", convention, CONVENTIONS)
        words, self.factor, self.reach = CONVENTIONS[convention]
        self.version = f"{words}, texts begin with {prefix!r}" if prefix else words
        super().__init__(folder, weights, device, **settings)
        self.towers = CLIPTowers(folder, self.device, self.dtype, prefix)
        self.text = self.towers.text

    @property
    def bounds(self) -> tuple[float, float]:
        return self.reach

    @property
    def family(self) -> str:
        return self.lineage(self.towers.backbone)

    def score(self, pixels: Tensor, prompts: Sequence[str]) -> Tensor:
        score = self.factor * self.towers.cosine_similarity(pixels, prompts)
        return score.clamp(min=0) if self.reach[0] == 0 else score

    @torch.no_grad()
    def embed(self, images: Tensor) -> Tensor:
        """Unit embeddings E_image(x) (B, D) of images (B, 3, H, W) in [0, 1], read as `judge` reads them.

        That of frames (B, F, 3, H, W) is the direction of their mean.
        """
        frames, _ = single_frames(images, ())
        pixels = self.preprocess.judged_pixels(frames.to(self.device, torch.float32))
        seen = self.towers.see(pixels.to(self.dtype))
        return seen if images.dim() == 4 else normalize(seen.unflatten(0, images.shape[:2]).mean(1))
