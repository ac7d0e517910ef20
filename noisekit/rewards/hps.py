"""HPSv2: human preference for an image of a prompt, as a CLIP that was tuned on people's rankings.

    hps = cos(E_image(x), E_text(c))                                                       −1 … 1

Wu, Hao, Sun, Chen, Zhu, Zhao, Li 2023, "Human Preference Score v2", arXiv 2306.09341: ViT-H/14 in open_clip. Tables often
print 100 times this. Versions 2.0 and 2.1 are two checkpoints on two scales, so the version stands beside the number.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noisekit.rewards.base import Reward
from noisekit.rewards.checkpoint import load_module, load_tokenizer
from noisekit.rewards.clip import unit
from noisekit.rewards.folders import read_config
from noisekit.rewards.letterbox import FILE, Letterbox
from noisekit.rewards.preprocess import Preparation
from noisekit.rewards.text import OpenCLIPTokenizer, PromptCache

WEIGHTS = "open_clip_model.safetensors"


class HPS(Reward):
    """A folder in open_clip's format: open_clip_config.json, open_clip_model.safetensors and a tokenizer.

    The configuration may name the tokenizer "open_clip", which is that package's own, instead. The prompt's feature is taken
    at its highest token id, which has to be the end of text.
    """

    name = "hps"
    version = "cos"
    reads_prompt = True
    text: PromptCache
    bounds = (-1.0, 1.0)

    def __init__(self, folder: Path, weights: str, device: str | torch.device, **settings: Any) -> None:
        from open_clip.model import CLIP

        super().__init__(folder, weights, device, **settings)
        config = read_config(folder / FILE, "model_cfg")
        self.config = config["model_cfg"]
        self.network = load_module(lambda: CLIP(**self.config), folder / WEIGHTS, self.device, self.dtype)
        own = config.get("tokenizer") == "open_clip"
        tokenizer = OpenCLIPTokenizer() if own else load_tokenizer(folder)
        self.text = PromptCache(tokenizer, self.network.context_length, self._encode)

    def preparation(self, folder: Path) -> Preparation:
        return Letterbox.from_folder(folder)

    @property
    def family(self) -> str:
        vision = self.config["vision_cfg"]
        return self.lineage(f"CLIP ViT-{vision['layers']}x{vision['width']}/{vision['patch_size']}")

    def score(self, pixels: Tensor, prompts: Sequence[str]) -> Tensor:
        (captions,) = self.text(prompts)
        return (unit(self.network.encode_image(pixels)) * captions).sum(-1)

    def _encode(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        return (unit(self.network.encode_text(ids.to(self.device))),)
