"""PickScore: which of two images people pick for a prompt, as a CLIP that was tuned on their choices.

    pick_score = exp(logit_scale) · cos(E_image(x), E_text(c))           −exp(logit_scale) … exp(logit_scale)

A softmax over the scores of two images is the probability of each being picked. Kirstain, Polyak, Singer, Matiana, Penna,
Levy 2023, "Pick-a-Pic", arXiv 2305.01569: ViT-H/14, where exp(logit_scale) is 100 and most scores lie between 19 and 24.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noisekit.rewards.base import Reward
from noisekit.rewards.clip import CLIPTowers


class PickScore(Reward):
    """A folder with a `CLIPModel`, its tokenizer and its preprocessor_config.json."""

    name = "pick_score"
    version = "exp(logit_scale) cos"
    reads_prompt = True

    def __init__(self, folder: Path, weights: str, device: str | torch.device, **settings: Any) -> None:
        super().__init__(folder, weights, device, **settings)
        self.towers = CLIPTowers(folder, self.device, self.dtype)
        self.text = self.towers.text
        self.scale = self.towers.network.logit_scale.exp().item()

    @property
    def bounds(self) -> tuple[float, float]:
        return -self.scale, self.scale

    @property
    def family(self) -> str:
        return self.lineage(self.towers.backbone)

    def score(self, pixels: Tensor, prompts: Sequence[str]) -> Tensor:
        return self.scale * self.towers.cosine_similarity(pixels, prompts)
