"""HPSv2: human preference for an image of a prompt, as a CLIP that was tuned on people's rankings.

    hps = cos(E_image(x), E_text(c))                                                       −1 … 1

Wu, Hao, Sun, Chen, Zhu, Zhao, Li 2023, "Human Preference Score v2", arXiv 2306.09341: ViT-H/14 in open_clip. Tables often
print 100 times this. Versions 2.0 and 2.1 are two checkpoints on two scales, so the version stands beside the number.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from noisekit.rewards.base import Reward
from noisekit.rewards.checkpoint import load_module, load_tokenizer, read_config
from noisekit.rewards.letterbox import FILE, Letterbox
from noisekit.rewards.preprocess import Preparation
from noisekit.rewards.text import PromptCache

WEIGHTS = "open_clip_model.safetensors"


class HPS(Reward):
    """A folder in open_clip's format: open_clip_config.json, open_clip_model.safetensors and a tokenizer.

    The prompt's feature is taken at its highest token id, which has to be the end of text.
    """

    name = "hps"
    version = "cos"
    reads_prompt = True
    bounds = (-1.0, 1.0)

    def __init__(self, folder: Path, weights: str, device: str | torch.device) -> None:
        from open_clip.model import CLIP

        super().__init__(folder, weights, device)
        self.config = read_config(folder / FILE, "model_cfg")["model_cfg"]
        self.network = load_module(lambda: CLIP(**self.config), folder / WEIGHTS, self.device)
        self.text = PromptCache(load_tokenizer(folder), self.network.context_length, self._encode)

    def preparation(self, folder: Path) -> Preparation:
        return Letterbox.from_folder(folder)

    @property
    def family(self) -> str:
        vision = self.config["vision_cfg"]
        return self.lineage(f"CLIP ViT-{vision['layers']}x{vision['width']}/{vision['patch_size']}")

    def score(self, pixels: Tensor, prompts: Sequence[str]) -> Tensor:
        (captions,) = self.text(prompts)
        return (self.network.encode_image(pixels, normalize=True) * captions).sum(-1)

    def _encode(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        return (self.network.encode_text(ids.to(self.device), normalize=True),)
