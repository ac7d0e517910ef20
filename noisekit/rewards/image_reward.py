"""ImageReward: human preference for an image and its prompt, read together by one transformer.

    h = text transformer(c) with cross-attention to the image tokens of x, at the first token
    r = W_n ⋯ W_1 h (affine layers, no activations)        image_reward = (r − mean) / std                         −∞ … ∞

mean and std are those of r over the training images, so that about 98 % of scores lie in [−2, 2]. Xu, Liu, Wu, Tong, Li,
Ding, Tang, Dong 2023, "ImageReward", arXiv 2304.05977: BLIP's ViT-L/16 and a 12-layer BERT that reads 35 tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from noisekit.rewards.base import Reward
from noisekit.rewards.checkpoint import load_module, load_tokenizer
from noisekit.rewards.clip import backbone, single
from noisekit.rewards.folders import CONFIG, WEIGHTS, read_config
from noisekit.rewards.text import PromptCache


class ImageRewardNetwork(nn.Module):
    """vision: fields of a BlipVisionConfig; text: of a BlipTextConfig; mlp: output widths of its layers, the last 1."""

    #: What a network inside it is made with beside its configuration.
    made_with: ClassVar[Mapping[str, Mapping[str, Any]]] = {"text": {"add_pooling_layer": False}}

    def __init__(self, vision: Mapping[str, Any], text: Mapping[str, Any], mlp: Sequence[int]) -> None:
        from transformers import BlipTextConfig, BlipVisionConfig, BlipVisionModel
        from transformers.models.blip.modeling_blip_text import BlipTextModel

        super().__init__()
        eager = {"attn_implementation": "eager"}
        self.vision = BlipVisionModel._from_config(BlipVisionConfig(**vision), **eager)
        # A "decoder" in the configuration has cross-attention; called without is_decoder it still reads both ways.
        config = BlipTextConfig(**{**text, "is_decoder": True})
        self.text = BlipTextModel._from_config(config, **self.made_with["text"], **eager)
        widths = [config.hidden_size, *mlp]
        self.mlp = nn.Sequential(*(nn.Linear(before, after) for before, after in pairwise(widths)))

    def forward(self, pixels: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        """r (B,) of pixels (B, 3, S, S), token ids (B, L) and their mask (B, L), 0 at padding."""
        image = self.vision(pixel_values=pixels).last_hidden_state
        output = self.text(input_ids=ids, attention_mask=mask, encoder_hidden_states=image)
        return self.mlp(single(output.last_hidden_state[:, 0])).squeeze(-1)


class ImageReward(Reward):
    """A folder with config.json, model.safetensors, a tokenizer and a preprocessor_config.json.

    config.json holds the arguments of `ImageRewardNetwork`, the score's `mean` and `std`, and the text's `length` in tokens.
    """

    name = "image_reward"
    version = "standardised"
    reads_prompt = True
    text: PromptCache
    bounds = (-math.inf, math.inf)
    #: A ten-thousandth of the usual range, [−2, 2]; there is no other.
    tie = 4e-4

    def __init__(self, folder: Path, weights: str, device: str | torch.device, **settings: Any) -> None:
        super().__init__(folder, weights, device, **settings)
        config = read_config(folder / CONFIG, "vision", "text", "mlp", "mean", "std", "length")
        self.mean, self.std = config["mean"], config["std"]
        self.network = load_module(
            lambda: ImageRewardNetwork(config["vision"], config["text"], config["mlp"]),
            folder / WEIGHTS,
            self.device,
            self.dtype,
        )
        self.network.mlp.float()
        # The text meets the image in every layer, so that its tokens are all that can be kept.
        self.text = PromptCache(load_tokenizer(folder), config["length"], self._encode)

    @property
    def family(self) -> str:
        return self.lineage(backbone(self.network.vision.config, "BLIP"))

    def score(self, pixels: Tensor, prompts: Sequence[str]) -> Tensor:
        return (self.network(pixels, *self.text(prompts)) - self.mean) / self.std

    def _encode(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        return ids.to(self.device), mask.to(self.device)
