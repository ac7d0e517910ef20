"""CLIPScore: how well image and caption agree, by the angle between their CLIP embeddings.

    clip_score = 100 · cos(E_image(x), E_text(c))                                     −100 … 100

The unclamped percentage is one number for climbing and for judging: its gradient vanishes nowhere, and it is the scale of
ReNO's published weight (clip_score:0.01 adds the plain cosine). Hessel, Holtzman, Forbes, Le Bras, Choi 2021, "CLIPScore",
arXiv 2104.08718, print 2.5 · max(cos, 0), which is max(clip_score, 0) / 40.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from noisekit.rewards.base import Reward
from noisekit.rewards.clip import CLIPTowers


class CLIPScore(Reward):
    """A folder with a `CLIPModel`, its tokenizer and its preprocessor_config.json."""

    name = "clip_score"
    version = "100 cos"
    reads_prompt = True
    bounds = (-100.0, 100.0)

    def __init__(self, folder: Path, weights: str, device: str | torch.device) -> None:
        super().__init__(folder, weights, device)
        self.towers = CLIPTowers(folder, self.device)

    @property
    def family(self) -> str:
        return self.lineage(self.towers.backbone)

    def score(self, pixels: Tensor, prompts: Sequence[str]) -> Tensor:
        return 100 * self.towers.cosine(pixels, prompts)

    @torch.no_grad()
    def embed(self, images: Tensor) -> Tensor:
        """Unit embeddings E_image(x) (B, D) of images (B, 3, H, W) in [0, 1], read as `judge` reads them."""
        return self.towers.see(self.preprocess.judged_pixels(images.to(self.device, torch.float32)))
