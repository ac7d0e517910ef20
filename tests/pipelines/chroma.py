"""A Chroma pipeline at toy size."""

from __future__ import annotations

from typing import Any

import torch

from tests.pipelines.encoders import t5_text, t5_tokenizer
from tests.pipelines.flux import DYNAMIC
from tests.pipelines.parts import autoencoder


def chroma(seed: int = 0, **scheduler: Any) -> Any:
    """A ChromaPipeline with latents of 4×8×8, packed 16×16, and 16-pixel images."""
    from diffusers import ChromaPipeline, ChromaTransformer2DModel, FlowMatchEulerDiscreteScheduler

    t5 = t5_tokenizer()
    torch.manual_seed(seed)
    text_encoder = t5_text(t5)
    transformer = ChromaTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        axes_dims_rope=(4, 4, 8),
        approximator_num_channels=8,
        approximator_hidden_dim=16,
        approximator_layers=1,
    )
    vae = autoencoder(
        4, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.06, scaling_factor=1.5
    )
    pipe = ChromaPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**(DYNAMIC | scheduler)),
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=t5,
        transformer=transformer.eval(),
    )
    pipe.default_sample_size = 8
    return pipe
