"""PixArt pipelines at toy size."""

from __future__ import annotations

from typing import Any

import torch

from tests.pipelines.encoders import t5_text, t5_tokenizer
from tests.pipelines.parts import autoencoder


def pixart(sample_size: int = 8, seed: int = 0, scheduler: Any = None, sigma: bool = False) -> Any:
    """A PixArtAlphaPipeline with latents of 4×8×8 and 16-pixel images, which at `sample_size` 128 is told resolutions; or a
    PixArtSigmaPipeline, which never is.
    """
    from diffusers import (
        DPMSolverMultistepScheduler,
        PixArtAlphaPipeline,
        PixArtSigmaPipeline,
        PixArtTransformer2DModel,
    )

    t5 = t5_tokenizer()
    torch.manual_seed(seed)
    text_encoder = t5_text(t5)
    transformer = PixArtTransformer2DModel(
        sample_size=sample_size,
        num_layers=2,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=3,
        caption_channels=32,
        in_channels=4,
        cross_attention_dim=24,
        out_channels=8,
        attention_bias=True,
        activation_fn="gelu-approximate",
        num_embeds_ada_norm=1000,
        norm_type="ada_norm_single",
        norm_elementwise_affine=False,
        norm_eps=1e-6,
        use_additional_conditions=False if sigma else None,
    )
    return (PixArtSigmaPipeline if sigma else PixArtAlphaPipeline)(
        tokenizer=t5,
        text_encoder=text_encoder,
        vae=autoencoder(),
        transformer=transformer.eval(),
        scheduler=scheduler or DPMSolverMultistepScheduler(),
    )
