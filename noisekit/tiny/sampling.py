"""The sampler of the build stages: DDIM with classifier-free guidance on a trailing grid, in bfloat16.

From time t to the next s:  v = v(∅) + g (v(c) − v(∅)),  x₀ = √ᾱ_t x − √(1 − ᾱ_t) v,  ε = √ᾱ_t v + √(1 − ᾱ_t)
x, x ← √ᾱ_s x₀ + √(1 − ᾱ_s) ε.
"""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor

LAST = 999  # the noisiest time: where sampling starts, and where the one-step student lives


def pipeline(folder: str) -> StableDiffusionPipeline:
    """A pipeline folder in single precision, ready to be used."""
    pipe = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    pipe.unet.set_attn_processor(AttnProcessor())
    for part in (pipe.unet, pipe.vae, pipe.text_encoder):
        part.eval().requires_grad_(False)
    return pipe


@torch.no_grad()
def sample(
    unet: UNet2DConditionModel,
    alphas: torch.Tensor,
    noise: torch.Tensor,
    text: torch.Tensor,
    empty: torch.Tensor,
    steps: int,
    guidance: float,
) -> torch.Tensor:
    """Latents (n, 4, 8, 8) from noise of that shape, text (n, L, D) and the empty caption's embedding (1, L,
    D)."""
    times = [round((LAST + 1) * (1 - i / steps)) - 1 for i in range(steps)]
    both = torch.cat([empty.expand_as(text), text])
    x = noise
    for t, s in zip(times, [*times[1:], None], strict=True):
        with torch.autocast("cpu", torch.bfloat16):
            free, led = unet(torch.cat([x, x]), t, both).sample.float().chunk(2)
        v = free + guidance * (led - free)
        now = alphas[t]
        then = torch.ones(()) if s is None else alphas[s]
        clean, epsilon = now.sqrt() * x - (1 - now).sqrt() * v, now.sqrt() * v + (1 - now).sqrt() * x
        x = then.sqrt() * clean + (1 - then).sqrt() * epsilon
    return x


@torch.no_grad()
def decode(vae: AutoencoderKL, latents: torch.Tensor) -> torch.Tensor:
    """Images (n, 3, 32, 32) in [0, 1]."""
    with torch.autocast("cpu", torch.bfloat16):
        parts = [vae.decode(z).sample.float() for z in latents.split(128)]
    return (torch.cat(parts) / 2 + 0.5).clamp(0, 1)
