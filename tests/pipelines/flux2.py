"""FLUX.2 pipelines at toy size: dev told its guidance, klein distilled or guided by two evaluations."""

from __future__ import annotations

from typing import Any

import torch

from tests.pipelines.chat import chat_tokenizer, mistral_processor, mistral_text, qwen3_text

DYNAMIC = {"use_dynamic_shifting": True, "shift": 3.0}


def flux2(distilled: bool = True, seed: int = 0, **scheduler: Any) -> Any:
    """A Flux2KleinPipeline with noise of 16×4×4 and 16-pixel images; its text encoder has just the layers that are read."""
    from diffusers import FlowMatchEulerDiscreteScheduler, Flux2KleinPipeline

    tokenizer = chat_tokenizer()
    torch.manual_seed(seed)
    return Flux2KleinPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**(DYNAMIC | scheduler)),
        text_encoder=qwen3_text(tokenizer, layers=27, causal=True),
        tokenizer=tokenizer,
        is_distilled=distilled,
        **_networks(told=False),
    )


def flux2_dev(seed: int = 0, **scheduler: Any) -> Any:
    """A Flux2Pipeline of the same sizes."""
    from diffusers import FlowMatchEulerDiscreteScheduler, Flux2Pipeline

    processor = mistral_processor()
    torch.manual_seed(seed)
    return Flux2Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**(DYNAMIC | scheduler)),
        text_encoder=mistral_text(processor.tokenizer, layers=30),
        tokenizer=processor,
        **_networks(told=True),
    )


def _networks(told: bool) -> dict[str, Any]:
    from diffusers import AutoencoderKLFlux2, Flux2Transformer2DModel

    transformer = Flux2Transformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=24,
        timestep_guidance_channels=16,
        axes_dims_rope=(2, 2, 2, 2),
        guidance_embeds=told,
    )
    vae = AutoencoderKLFlux2(
        block_out_channels=(8, 16),
        latent_channels=4,
        norm_num_groups=8,
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
    )
    with torch.no_grad():
        for weight in transformer.parameters():
            weight *= 1.25  # of so many tokens few are the prompt's, and attention has to find them
        vae.bn.running_mean.normal_()
        vae.bn.running_var.uniform_(0.5, 2)
    return {"transformer": transformer.eval(), "vae": vae.eval()}
