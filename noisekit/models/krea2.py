"""Krea 2: a diffusers Krea2Pipeline.

Latents are Qwen-Image's, packed (see `packed`), with its autoencoder for videos. Twelve layers of Qwen3-VL are the
states of the prompt (B, tokens, 12, 2560): 31 MB of a prompt. Padding lies between the prompt and the end of its
template, takes no position there, and is masked. The call's guidance is g = ω − 1, as it writes u(c) + g·(u(c) −
u(∅)). The distilled checkpoint is shifted by the same μ at every size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from noisekit.models.packed import PackedFlow, packed, positions, unpacked
from noisekit.models.qwen_image import frame

#: μ of the distilled checkpoint.
DISTILLED_SHIFT = 1.15


class Krea2(PackedFlow):
    """A flow over packed 16-channel latents, told many layers of text with a mask."""

    def embed(self, prompts: Sequence[str]) -> Mapping[str, Tensor]:
        text, mask = self.pipe.encode_prompt(
            list(prompts), device=self.device, max_sequence_length=self.tokens
        )
        return {"text": text, "mask": mask}

    def network(self, x: Tensor, t: Tensor, text: Mapping[str, Tensor], guidance: float) -> Tensor:
        n, _, height, width = x.shape
        places = positions(height // 2, width // 2)
        u = self.denoiser(
            hidden_states=packed(x),
            encoder_hidden_states=text["text"],
            timestep=(t / 1000).expand(n).to(x.dtype),
            position_ids=torch.cat([places.new_zeros(text["text"].shape[1], 3), places]).to(x.device),
            encoder_attention_mask=text["mask"],
            return_dict=False,
        )[0]
        return unpacked(u, height, width)

    def image(self, latents: Tensor) -> Tensor:
        return frame(self.pipe.vae, latents)

    def shift(self, config: Any, steps: int) -> float:
        return DISTILLED_SHIFT if self.pipe.config.is_distilled else super().shift(config, steps)

    @property
    def usual_size(self) -> tuple[int, int]:
        return self.usual("height"), self.usual("width")

    def readers(self) -> list[tuple[Any, int]]:
        pipe = self.pipe
        return [(pipe.tokenizer, self.tokens - pipe.prompt_template_encode_num_suffix_tokens)]

    @property
    def call_kwargs(self) -> dict[str, Any]:
        return super().call_kwargs | {"guidance_scale": max(self.card.guidance - 1, 0.0)}
