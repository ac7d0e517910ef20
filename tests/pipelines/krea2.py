"""A Krea 2 pipeline at toy size."""

from __future__ import annotations

from typing import Any

import torch

from tests.pipelines.chat import chat_tokenizer, qwen3_vl_text
from tests.pipelines.qwen_image import video_autoencoder

#: Shifted by size along a line that toy images lie on.
SHIFTED = {"use_dynamic_shifting": True, "base_image_seq_len": 4, "max_image_seq_len": 64}

#: The layers of text that the transformer is told, of four: as published, not the last.
LAYERS = (1, 3)


def krea2(distilled: bool = False, seed: int = 0, **scheduler: Any) -> Any:
    """A Krea2Pipeline with latents of 4×8×8, packed 16×16, told two layers of text."""
    from diffusers import FlowMatchEulerDiscreteScheduler, Krea2Pipeline, Krea2Transformer2DModel

    tokenizer = chat_tokenizer()
    torch.manual_seed(seed)
    text_encoder = qwen3_vl_text(tokenizer, layers=4)
    transformer = Krea2Transformer2DModel(
        in_channels=16,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=32,
        timestep_embed_dim=16,
        text_hidden_dim=16,
        num_text_layers=len(LAYERS),
        text_num_attention_heads=2,
        text_num_key_value_heads=2,
        text_intermediate_size=16,
        num_layerwise_text_blocks=1,
        num_refiner_text_blocks=1,
        axes_dims_rope=(4, 4, 8),
    )
    return Krea2Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**(SHIFTED | scheduler)),
        vae=video_autoencoder(),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        transformer=transformer.eval(),
        text_encoder_select_layers=LAYERS,
        is_distilled=distilled,
    )
