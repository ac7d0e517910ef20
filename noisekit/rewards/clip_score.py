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
import torch.nn.functional as F
from torch import Tensor

from noisekit.rewards.base import Reward
from noisekit.rewards.checkpoint import load_network, load_tokenizer
from noisekit.rewards.text import TextFeatures


class CLIPScore(Reward):
    """A folder with a `CLIPModel`, its tokenizer and its preprocessor_config.json."""

    name = "clip_score"
    version = "100 cos"
    reads_prompt = True
    bounds = (-100.0, 100.0)

    def __init__(self, folder: Path, weights: str, device: str | torch.device) -> None:
        from transformers import CLIPModel

        super().__init__(folder, weights, device)
        self.network = load_network(CLIPModel, folder, self.device)
        length = self.network.config.text_config.max_position_embeddings
        self.text = TextFeatures(load_tokenizer(folder), length, self._encode)

    @property
    def family(self) -> str:
        return backbone(self.network.config.vision_config)

    def score(self, pixels: Tensor, prompts: Sequence[str]) -> Tensor:
        return 100 * (self._see(pixels) * self.text(prompts)).sum(-1)

    @torch.no_grad()
    def embed(self, images: Tensor) -> Tensor:
        """Unit embeddings E_image(x) (B, D) of images (B, 3, H, W) in [0, 1], read as `judge` reads them."""
        return self._see(self.preprocess.judged_pixels(images.to(self.device, torch.float32)))

    def _see(self, pixels: Tensor) -> Tensor:
        return F.normalize(self.network.get_image_features(pixel_values=pixels).pooler_output, dim=-1)

    def _encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        ids, mask = ids.to(self.device), mask.to(self.device)
        features = self.network.get_text_features(input_ids=ids, attention_mask=mask).pooler_output
        return F.normalize(features, dim=-1)


def backbone(vision: object) -> str:
    """A CLIP image tower's name from its configuration, such as "CLIP ViT-12x768/32"."""
    layers, width, patch = (
        getattr(vision, key) for key in ("num_hidden_layers", "hidden_size", "patch_size")
    )
    return f"CLIP ViT-{layers}x{width}/{patch}"
