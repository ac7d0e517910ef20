"""Stable Video Diffusion and SV3D-U at toy size."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLTemporalDecoder,
    EulerDiscreteScheduler,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
)
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection


def svd(*, orbit: bool = False, frames: int = 3, **scheduler: Any) -> StableVideoDiffusionPipeline:
    """Random weights, whose last layers say something; orbit: told one number, with an autoencoder of single images."""
    torch.manual_seed(0)
    unet = UNetSpatioTemporalConditionModel(
        sample_size=8,
        in_channels=8,
        out_channels=4,
        num_frames=frames,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        cross_attention_dim=32,
        num_attention_heads=4,
        addition_time_embed_dim=32,
        projection_class_embeddings_input_dim=32 if orbit else 96,
    )
    blocks: dict[str, Any] = {
        "block_out_channels": (32, 32),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "latent_channels": 4,
        "layers_per_block": 1,
    }
    vae = (
        AutoencoderKL(up_block_types=("UpDecoderBlock2D",) * 2, **blocks)
        if orbit
        else AutoencoderKLTemporalDecoder(**blocks)
    )
    eye = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=37,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=224,
            patch_size=32,
            projection_dim=32,
        )
    )
    levels = {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "prediction_type": "v_prediction",
        "timestep_type": "continuous",
        "timestep_spacing": "leading",
        "steps_offset": 1,
        "use_karras_sigmas": True,
        "sigma_min": 0.002,
        "sigma_max": 700.0,
    }
    return StableVideoDiffusionPipeline(
        vae=vae,
        image_encoder=eye.eval(),
        unet=unet.eval(),
        scheduler=EulerDiscreteScheduler(**levels | scheduler),
        feature_extractor=CLIPImageProcessor(),
    )
