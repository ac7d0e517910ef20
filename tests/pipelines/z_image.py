"""A Z-Image pipeline at toy size."""

from __future__ import annotations

from typing import Any

import torch

from tests.pipelines.chat import chat_tokenizer, qwen3_text
from tests.pipelines.parts import autoencoder


def z_image(seed: int = 0, **scheduler: Any) -> Any:
    """A ZImagePipeline with latents of 4×8×8 and 16-pixel images."""
    from diffusers import FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel

    tokenizer = chat_tokenizer()
    torch.manual_seed(seed)
    text_encoder = qwen3_text(tokenizer)
    transformer = ZImageTransformer2DModel(
        in_channels=4,
        dim=16,
        n_layers=1,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=8,
        axes_dims=[2, 2, 4],
        axes_lens=[128, 16, 16],
    )
    for token in (transformer.x_pad_token, transformer.cap_pad_token):
        torch.nn.init.normal_(token)  # they start from zero, and would look like none
    vae = autoencoder(
        4, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.06, scaling_factor=1.5
    )
    return ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**({"shift": 3.0} | scheduler)),
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        transformer=transformer.eval(),
    )
