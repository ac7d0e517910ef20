"""FLUX.2 dev and klein: a diffusers Flux2Pipeline or Flux2KleinPipeline.

Patches of 2×2 are channels here before noise comes in, so that noise is (B, 128, H/16, W/16), and each of the 128 has
a mean and a deviation, which the autoencoder keeps as the statistics of a layer that normalises batches:

    z = x·√(var + ε) + mean        then 128 channels → 32, twice as high and wide, and decoded

The transformer takes one token for each place, with its position (0, row, column, 0); the i-th token of text is at
(0, 0, 0, i). Three inner layers of the text encoder, side by side, are the states (B, tokens, 3·D): Qwen3 for klein,
without thinking, and for dev Mistral behind the pipeline's system message. Padding is read, too, so the number of
tokens decides the image.

The shift follows both the number of tokens N of the image and of steps n, a line in n between two lines in N:

    μ_200 = 1.6927e-4·N + 0.45666666        μ_10 = 8.73809524e-5·N + 1.89833333        μ_200 alone where N > 4300

Guidance is distilled into dev, which is told the scale. klein's distilled checkpoints know none; its base ones are
guided by two evaluations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import pixel_shuffle

from noisekit.models.base import guided
from noisekit.models.flow import FlowModel
from noisekit.models.texts import room


class Flux2(FlowModel):
    """A flow over patches of 32-channel latents, guided from inside, by two evaluations, or not at all."""

    even_levels: ClassVar[bool] = True

    def embed(self, prompts: Sequence[str]) -> Mapping[str, Tensor]:
        text, _ = self.pipe.encode_prompt(list(prompts), device=self.device, max_sequence_length=self.tokens)
        return {"text": text}

    def network(self, x: Tensor, t: Tensor, text: Mapping[str, Tensor], guidance: float) -> Tensor:
        n, _, height, width = x.shape
        u = self.denoiser(
            hidden_states=x.flatten(2).transpose(1, 2),
            timestep=t.expand(n).to(x.dtype) / 1000,
            guidance=torch.full((n,), guidance, device=x.device) if self.guidance_embedded else None,
            encoder_hidden_states=text["text"],
            txt_ids=places(1, 1, text["text"].shape[1]).to(x.device),
            img_ids=places(height, width, 1).to(x.device),
            return_dict=False,
        )[0]
        return u.transpose(1, 2).unflatten(2, (height, width))

    @property
    def guidance_embedded(self) -> bool:
        """Whether the transformer is told the guidance scale."""
        return bool(self.denoiser.config.guidance_embeds)

    def doubles(self, guidance: float) -> bool:
        distilled = self.guidance_embedded or self.pipe.config.get("is_distilled", False)
        return guided(guidance) and not distilled

    @property
    def usual_size(self) -> tuple[int, int]:
        side = self.pipe.default_sample_size * self.pipe.vae_scale_factor
        return side, side

    @property
    def pixel_step(self) -> int:
        return 2 * int(self.pipe.vae_scale_factor)

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        return self.denoiser.config.in_channels, height // self.pixel_step, width // self.pixel_step

    def shift(self, config: Any, steps: int) -> float:
        tokens = self.image_tokens
        many, few = 1.6927e-4 * tokens + 0.45666666, 8.73809524e-5 * tokens + 1.89833333
        return many if tokens > 4300 else many + (few - many) * (200 - steps) / 190

    def image(self, latents: Tensor) -> Tensor:
        vae = self.pipe.vae
        mean, var = (
            value.view(1, -1, 1, 1).to(latents) for value in (vae.bn.running_mean, vae.bn.running_var)
        )
        z = latents * (var + vae.config.batch_norm_eps).sqrt() + mean
        return vae.decode(pixel_shuffle(z, 2).to(vae.dtype), return_dict=False)[0]

    def readers(self) -> list[tuple[Any, int]]:
        tokenizer = self.pipe.tokenizer
        if message := getattr(self.pipe, "system_message", None):
            told = [_said("system", message), _said("user", "")]
            read = tokenizer.apply_chat_template(told, add_generation_prompt=False, tokenize=False)
            return [(tokenizer.tokenizer, room(tokenizer.tokenizer, read, self.tokens))]
        told = [{"role": "user", "content": ""}]
        read = tokenizer.apply_chat_template(
            told, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        return [(tokenizer, room(tokenizer, read, self.tokens))]


def places(rows: int, columns: int, index: int) -> Tensor:
    """(0, row, column, index) of each token (rows·columns·index, 4), the last fastest."""
    return torch.cartesian_prod(*(torch.arange(size) for size in (1, rows, columns, index)))


def _said(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}]}
