"""FLUX.1 dev and schnell: a diffusers FluxPipeline.

The transformer takes latents packed (see `packed`), with the rows and columns of the tokens. T5 reads the prompt (B,
tokens, 4096), CLIP's pooled state (B, 768) goes in beside the timestep. Guidance is distilled into FLUX.1-dev, which
is told the scale as a number; schnell knows none. Either way one evaluation makes a prediction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from noisekit.models.packed import PackedFlow, packed, positions, unpacked


class Flux(PackedFlow):
    """A flow over packed 16-channel latents, guided from inside or not at all."""

    def embed(self, prompts: Sequence[str]) -> Mapping[str, Tensor]:
        text, pooled, _ = self.pipe.encode_prompt(
            list(prompts), None, device=self.device, max_sequence_length=self.tokens
        )
        return {"text": text, "pooled": pooled}

    def network(self, x: Tensor, t: Tensor, text: Mapping[str, Tensor], guidance: float) -> Tensor:
        n, _, height, width = x.shape
        tells = self.denoiser.config.guidance_embeds
        u = self.denoiser(
            hidden_states=packed(x),
            timestep=t.expand(n).to(x.dtype) / 1000,
            guidance=torch.full((n,), guidance, device=x.device) if tells else None,
            pooled_projections=text["pooled"],
            encoder_hidden_states=text["text"],
            txt_ids=x.new_zeros(text["text"].shape[1], 3),
            img_ids=positions(height // 2, width // 2).to(x),
            return_dict=False,
        )[0]
        return unpacked(u, height, width)

    def doubles(self, guidance: float) -> bool:
        return False

    def readers(self) -> list[tuple[Any, int]]:
        return [(self.pipe.tokenizer_2, self.tokens)]
