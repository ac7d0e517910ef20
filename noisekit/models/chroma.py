"""Chroma: a diffusers ChromaPipeline, FLUX.1's latents and layout without its pooled text and without a distilled
guidance.

T5 reads the prompt with its mask, and the transformer attends to the text's tokens up to and with the first of the
padding, and to all of the image's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from noisekit.models.packed import PackedFlow, packed, positions, unpacked


class Chroma(PackedFlow):
    """A flow over packed 16-channel latents, guided by two evaluations."""

    def embed(self, prompts: Sequence[str]) -> Mapping[str, Tensor]:
        text, _, mask, *_ = self.pipe.encode_prompt(
            list(prompts),
            device=self.device,
            do_classifier_free_guidance=False,
            max_sequence_length=self.tokens,
        )
        return {"text": text, "mask": mask}

    def network(self, x: Tensor, t: Tensor, text: Mapping[str, Tensor], guidance: float) -> Tensor:
        n, _, height, width = x.shape
        places = positions(height // 2, width // 2).to(x)
        u = self.denoiser(
            hidden_states=packed(x),
            timestep=t.expand(n).to(x.dtype) / 1000,
            encoder_hidden_states=text["text"],
            txt_ids=x.new_zeros(text["text"].shape[1], 3),
            img_ids=places,
            attention_mask=torch.cat([text["mask"], text["mask"].new_ones(n, len(places))], dim=1),
            return_dict=False,
        )[0]
        return unpacked(u, height, width)
