"""Stable Diffusion XL and its few-step students: a diffusers StableDiffusionXLPipeline.

The UNet is told the states of two text encoders side by side (B, 77, 768 + 1280), the second one's pooled state, and six
numbers about size: the height and width that a training image had, where it was cropped, and those wanted. As the pipeline
does by default, the image counts as one of its own size that was never cropped. No prompt is told as zeros where the
pipeline says so (`force_zeros_for_empty_prompt`), and then differs from the prompt "". A consistency model (LCM) is told
the guidance scale, too, and then needs one evaluation a step.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from noisekit.models.base import guided
from noisekit.models.cards import Card
from noisekit.models.pipeline import DiffusersModel
from noisekit.models.precision import overflows, widen


class SDXLModel(DiffusersModel, ABC):
    """What every pipeline around SDXL's UNet shares."""

    def __init__(self, pipe: Any, card: Card) -> None:
        if overflows(pipe.vae):
            widen(pipe.vae)
        super().__init__(pipe, card)

    def embed(self, prompts: Sequence[str]) -> Mapping[str, Tensor]:
        text, _, pooled, _ = self.pipe.encode_prompt(
            list(prompts), device=self.device, do_classifier_free_guidance=False
        )
        return {"text": text, "pooled": pooled}

    def embed_nothing(self) -> Mapping[str, Tensor]:
        _, text, _, pooled = self.pipe.encode_prompt([""], device=self.device)
        return {"text": text, "pooled": pooled}

    def doubles(self, guidance: float) -> bool:
        return guided(guidance) and self.denoiser.config.time_cond_proj_dim is None

    def added_conditions(self, text: Mapping[str, Tensor]) -> dict[str, Any]:
        """What the UNet, and a ControlNet beside it, are told besides state and timestep."""
        pooled = text["pooled"]
        sizes = pooled.new_tensor([[*self.size, 0, 0, *self.size]]).repeat(len(pooled), 1)
        return {
            "encoder_hidden_states": text["text"],
            "added_cond_kwargs": {"text_embeds": pooled, "time_ids": sizes},
        }

    def scale(self, x: Tensor, guidance: float) -> Tensor | None:
        """The embedded guidance scale (n, D) of a UNet that is told it, else None."""
        width = self.denoiser.config.time_cond_proj_dim
        if width is None:
            return None
        strengths = torch.full((len(x),), guidance - 1.0)
        embedded: Tensor = self.pipe.get_guidance_scale_embedding(strengths, embedding_dim=width)
        return embedded.to(x)

    def readers(self) -> list[tuple[Any, int]]:
        tokenizers = (self.pipe.tokenizer, self.pipe.tokenizer_2)
        return [(tokenizer, tokenizer.model_max_length) for tokenizer in tokenizers if tokenizer is not None]


class StableDiffusionXL(SDXLModel):
    """The UNet alone."""

    def network(self, x: Tensor, t: Tensor, text: Mapping[str, Tensor], guidance: float) -> Tensor:
        told = self.added_conditions(text)
        return self.denoiser(x, t, timestep_cond=self.scale(x, guidance), **told, return_dict=False)[0]
