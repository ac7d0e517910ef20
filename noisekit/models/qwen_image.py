"""Qwen-Image: a diffusers QwenImagePipeline (arXiv 2508.02324).

Latents go in packed (see `packed`), of an autoencoder for videos, to which an image is one frame. Qwen2.5-VL reads
the prompt in the pipeline's template, whose first tokens are dropped; its states (B, L, 3584) are as long as the
prompt, so they go in with a mask. Text lies behind the image, so that padding moves nothing.

A guided prediction gets the length of the prompt's own back, token by token of the packed latents, and is therefore
not linear in the scale; in the place of no prompt stands one blank, as the model's authors advise:

    û = u(∅) + ω·(u(c) − u(∅))        u = û·‖u(c)‖/‖û‖        norms over the 64 numbers of a token
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from noisekit.models.packed import PackedFlow, packed, unpacked
from noisekit.models.pipeline import unscaled
from noisekit.models.texts import room

#: What stands for no prompt.
NOTHING = " "


class QwenImage(PackedFlow):
    """A flow over packed 16-channel latents, told text with a mask."""

    def embed(self, prompts: Sequence[str]) -> Mapping[str, Tensor]:
        text, mask = self.pipe.encode_prompt(
            list(prompts), device=self.device, max_sequence_length=self.tokens
        )
        there = torch.ones(text.shape[:2], device=text.device) if mask is None else mask
        return {"text": text, "mask": there.bool()}

    def embed_nothing(self) -> Mapping[str, Tensor]:
        return self.embed([NOTHING])

    def network(self, x: Tensor, t: Tensor, text: Mapping[str, Tensor], guidance: float) -> Tensor:
        n, _, height, width = x.shape
        u = self.denoiser(
            hidden_states=packed(x),
            timestep=t.expand(n).to(x.dtype) / 1000,
            encoder_hidden_states=text["text"],
            encoder_hidden_states_mask=None if text["mask"].all() else text["mask"],
            img_shapes=[[(1, height // 2, width // 2)]] * n,
            return_dict=False,
        )[0]
        return unpacked(u, height, width)

    def mixed(self, without: Tensor, with_prompt: Tensor, guidance: float) -> Tensor:
        sums = packed(super().mixed(without, with_prompt, guidance))
        length = packed(with_prompt).norm(dim=-1, keepdim=True)
        return unpacked(sums * (length / sums.norm(dim=-1, keepdim=True)), *without.shape[2:])

    def image(self, latents: Tensor) -> Tensor:
        return frame(self.pipe.vae, latents)

    def readers(self) -> list[tuple[Any, int]]:
        pipe = self.pipe
        dropped = pipe.prompt_template_encode_start_idx
        longest = min(self.tokens, pipe.tokenizer_max_length) + dropped
        return [(pipe.tokenizer, room(pipe.tokenizer, pipe.prompt_template_encode.format(""), longest))]

    @property
    def identity(self) -> dict[str, Any]:
        return super().identity | {"nothing": NOTHING}

    @property
    def call_kwargs(self) -> dict[str, Any]:
        own = super().call_kwargs
        del own["guidance_scale"]  # a number for transformers that are told it, of which there are none
        return own | {"true_cfg_scale": self.card.guidance}

    def call_inputs(self, prompts: Sequence[str]) -> dict[str, Any]:
        """Without a text for no prompt the call is not guided."""
        without = {"negative_prompt": [NOTHING] * len(prompts)} if self.doubles(self.card.guidance) else {}
        return super().call_inputs(prompts) | without


def frame(vae: Any, latents: Tensor) -> Tensor:
    """The one frame (n, 3, H, W) that an autoencoder for videos makes of latents (n, C, h, w)."""
    video: Tensor = vae.decode(unscaled(latents, vae.config).to(vae.dtype).unsqueeze(2), return_dict=False)[0]
    return video[:, :, 0]
