"""The two towers of a CLIP, as rewards use them: unit embeddings of images and of prompts, in one space."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from noisekit.rewards.checkpoint import load_network, load_tokenizer
from noisekit.rewards.text import PromptCache


class CLIPTowers:
    """From a folder with a transformers `CLIPModel` and its tokenizer; embeddings are fp32, `prefix` begins every text."""

    def __init__(
        self,
        folder: Path,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        prefix: str = "",
    ) -> None:
        from transformers import CLIPModel

        self.network = load_network(CLIPModel, folder, device, dtype)
        self.device = device
        length = self.network.config.text_config.max_position_embeddings
        self.text = PromptCache(load_tokenizer(folder), length, self._encode, prefix)

    @property
    def backbone(self) -> str:
        return backbone(self.network.config.vision_config)

    def cosine_similarity(self, pixels: Tensor, prompts: Sequence[str]) -> Tensor:
        """cos(E_image(x), E_text(c)) (B,) of preprocessed pixels (B, 3, S, S) and their prompts."""
        (captions,) = self.text(prompts)
        return (self.see(pixels) * captions).sum(-1)

    def see(self, pixels: Tensor) -> Tensor:
        """E_image(x) (B, D)."""
        return unit(self.network.get_image_features(pixel_values=pixels).pooler_output)

    def _encode(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        ids, mask = ids.to(self.device), mask.to(self.device)
        features = self.network.get_text_features(input_ids=ids, attention_mask=mask).pooler_output
        return (unit(features),)


def unit(features: Tensor) -> Tensor:
    """Features (B, D) at length 1, in single precision at least."""
    return F.normalize(single(features), dim=-1)


def single(values: Tensor) -> Tensor:
    """Values in single precision, or in double if they are."""
    return values if values.dtype == torch.float64 else values.float()


def backbone(vision: object, kind: str = "CLIP") -> str:
    """An image tower's name from its configuration in transformers, such as "CLIP ViT-12x768/32"."""
    layers, width, patch = (
        getattr(vision, key) for key in ("num_hidden_layers", "hidden_size", "patch_size")
    )
    return f"{kind} ViT-{layers}x{width}/{patch}"
