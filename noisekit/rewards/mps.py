"""MPS: how well an image shows its prompt under a condition, such as "light, color, clarity, ...".

    u = text feature of the prompt's end token         T = features (L, D) of the prompt's tokens, K of the condition's
    s_i = max_j T_i · K_j        m_i = [s_i / max_i s_i > threshold]        v = cross(image tokens, T, m) at the class token
    mps = exp(logit_scale) · cos(u, v)                                                  −exp(logit_scale) … exp(logit_scale)

so that the condition chooses which words of the prompt the image is asked about. Padding tokens are tokens like others, as
in the released network. Its published number is a preference between two images x and y of one prompt, sigmoid(mps(x) −
mps(y)). Zhang et al. 2024, "Learning Multi-dimensional Human Preference for Text-to-Image Generation", arXiv 2405.14705. The
released code takes max_i over its whole batch, so that scores depend on their neighbours; here it is each row's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noisekit.rewards.base import Reward
from noisekit.rewards.checkpoint import load_module, load_tokenizer
from noisekit.rewards.clip import backbone, single
from noisekit.rewards.cross_attention import CrossAttention
from noisekit.rewards.folders import CONFIG, WEIGHTS, read_config
from noisekit.rewards.text import PromptCache, token_ids

#: The three kinds of preference that the paper's people were asked for, in the released words.
ASPECTS = {
    "aesthetics": "light, color, clarity, tone, style, ambiance, artistry",
    "detail quality": "shape, face, hair, hands, limbs, structure, instance, texture",
    "semantic alignment": "quantity, attributes, position, number, location, word, things",
}
#: Conditions by name; "overall" is that of the released checkpoint.
CONDITIONS = {"overall": ", ".join(ASPECTS.values()) + ".", **ASPECTS}


class MPSNetwork(nn.Module):
    """A transformers CLIP of `projection_dim` D whose projected tokens meet in a `CrossAttention` of width D.

    clip: fields of a CLIPConfig; cross: layers, heads, head_width and expansion; threshold: of the mask.
    """

    def __init__(self, clip: Mapping[str, Any], cross: Mapping[str, int], threshold: float = 0.01) -> None:
        from transformers import CLIPConfig, CLIPModel

        super().__init__()
        config = CLIPConfig(**clip)
        self.clip = CLIPModel._from_config(config, attn_implementation="eager")
        self.cross = CrossAttention(config.projection_dim, **cross)
        self.threshold = threshold

    @property
    def scale(self) -> Tensor:
        """exp(logit_scale)."""
        return self.clip.logit_scale.exp()

    def text(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Token ids (B, L), padded to one length, to the end token's feature u (B, D) and all tokens' T (B, L, D)."""
        output = self.clip.text_model(input_ids=ids)
        project = self.clip.text_projection
        return project(output.pooler_output), project(output.last_hidden_state)

    def mask(self, tokens: Tensor, condition: Tensor) -> Tensor:
        """m (B, L) of prompt tokens T (B, L, D) under condition tokens K, (B, M, D) or (1, M, D)."""
        closest = single(tokens @ condition.transpose(1, 2)).amax(dim=2)
        return closest / closest.amax(dim=1, keepdim=True) > self.threshold

    def image(self, pixels: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """v (B, D) of pixels (B, 3, S, S) with prompt tokens T (B, L, D) and their mask m (B, L)."""
        # As released: the tokens are taken before the tower's last norm.
        patches = self.clip.vision_model(pixel_values=pixels).last_hidden_state
        return self.cross(self.clip.visual_projection(patches), tokens, mask)[:, 0]

    def forward(self, pixels: Tensor, ids: Tensor, condition_ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(u, v, exp(logit_scale)) of prompts' and conditions' ids; one condition (1, M) serves all rows."""
        end, tokens = self.text(ids)
        _, condition = self.text(condition_ids)
        with torch.no_grad():
            mask = self.mask(tokens, condition)
        return end, self.image(pixels, tokens, mask), self.scale


class MPS(Reward):
    """A folder with config.json, model.safetensors, a tokenizer and a preprocessor_config.json.

    config.json holds the arguments of `MPSNetwork` and the `condition`, a text such as those of `CONDITIONS`; condition, by
    its name or in words, and threshold replace what stands there.
    """

    name = "mps"
    version = "overall, threshold 0.01"
    reads_prompt = True
    text: PromptCache
    pairwise = True

    def __init__(
        self,
        folder: Path,
        weights: str,
        device: str | torch.device,
        *,
        condition: str | None = None,
        threshold: float | None = None,
        **settings: Any,
    ) -> None:
        config = read_config(folder / CONFIG, "clip", "cross", "condition", "threshold")
        words = CONDITIONS.get(condition or "", condition) or config["condition"]
        threshold = float(config["threshold"] if threshold is None else threshold)
        names = {text: name for name, text in CONDITIONS.items()}
        self.version = f"{names.get(words, words)}, threshold {threshold:g}"
        super().__init__(folder, weights, device, **settings)
        self.network = load_module(
            lambda: MPSNetwork(config["clip"], config["cross"], threshold),
            folder / WEIGHTS,
            self.device,
            self.dtype,
        )
        self.scale = self.network.scale.item()
        tokenizer = load_tokenizer(folder)
        length = self.network.clip.config.text_config.max_position_embeddings
        ids, _ = token_ids(tokenizer, [words], length)
        with torch.no_grad():
            _, self.condition = self.network.text(ids.to(self.device))
        self.text = PromptCache(tokenizer, length, self._encode)

    @property
    def bounds(self) -> tuple[float, float]:
        return -self.scale, self.scale

    @property
    def family(self) -> str:
        return self.lineage(backbone(self.network.clip.config.vision_config))

    def score(self, pixels: Tensor, prompts: Sequence[str]) -> Tensor:
        end, tokens, mask = self.text(prompts)
        seen = self.network.image(pixels, tokens, mask)
        return self.scale * F.cosine_similarity(single(end), single(seen))

    def _encode(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        end, tokens = self.network.text(ids.to(self.device))
        return end, tokens, self.network.mask(tokens, self.condition)
