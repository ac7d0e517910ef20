"""A Lumina-Image 2.0 pipeline at toy size."""

from __future__ import annotations

from typing import Any

import torch

from tests.pipelines.encoders import gemma_text, gemma_tokenizer
from tests.pipelines.parts import autoencoder


def lumina2(seed: int = 0, **scheduler: Any) -> Any:
    """A Lumina2Pipeline with latents of 4×4×4 and 32-pixel images: its pipeline holds every autoencoder for one of ×8."""
    from diffusers import FlowMatchEulerDiscreteScheduler, Lumina2Pipeline, Lumina2Transformer2DModel

    tokenizer = gemma_tokenizer()
    torch.manual_seed(seed)
    text_encoder = gemma_text(tokenizer, layers=2)
    transformer = Lumina2Transformer2DModel(
        sample_size=4,
        in_channels=4,
        hidden_size=24,
        num_layers=1,
        num_refiner_layers=1,
        num_attention_heads=3,
        num_kv_heads=1,
        multiple_of=8,
        axes_dim_rope=(4, 2, 2),
        axes_lens=(64, 16, 16),
        cap_feat_dim=8,
    )
    vae = autoencoder(4, (8, 8, 8, 16), shift_factor=0.06, scaling_factor=1.5)
    return Lumina2Pipeline(
        transformer=transformer.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(**({"shift": 6.0} | scheduler)),
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
    )
