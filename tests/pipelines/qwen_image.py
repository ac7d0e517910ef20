"""A Qwen-Image pipeline at toy size, and the autoencoder for videos that Krea 2 shares with it."""

from __future__ import annotations

from typing import Any

import torch

from tests.pipelines.chat import chat_tokenizer, qwen25_vl_text

#: Shifted by size along a line that toy images lie on, and stretched to end near zero.
SHIFTED = {
    "use_dynamic_shifting": True,
    "base_shift": 0.5,
    "max_shift": 0.9,
    "base_image_seq_len": 4,
    "max_image_seq_len": 64,
    "shift_terminal": 0.02,
}


def qwen_image(seed: int = 0, **scheduler: Any) -> Any:
    """A QwenImagePipeline with latents of 4×8×8, packed 16×16, and 16-pixel images."""
    from diffusers import FlowMatchEulerDiscreteScheduler, QwenImagePipeline, QwenImageTransformer2DModel

    tokenizer = chat_tokenizer()
    torch.manual_seed(seed)
    text_encoder = qwen25_vl_text(tokenizer)
    transformer = QwenImageTransformer2DModel(
        in_channels=16,
        out_channels=4,
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        axes_dims_rope=(4, 4, 8),
    )
    pipe = QwenImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**(SHIFTED | scheduler)),
        vae=video_autoencoder(),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        transformer=transformer.eval(),
    )
    pipe.default_sample_size = 8
    return pipe


def video_autoencoder() -> Any:
    """An autoencoder for videos that halves height and width, with a mean and a deviation for each channel."""
    from diffusers import AutoencoderKLQwenImage

    return AutoencoderKLQwenImage(
        base_dim=8,
        z_dim=4,
        dim_mult=[1, 2],
        num_res_blocks=1,
        temperal_downsample=[False],
        latents_mean=[-0.7, 0.1, 0.9, 1.5],
        latents_std=[2.8, 1.4, 0.6, 1.1],
    ).eval()
