"""The denoiser and its text encoder, trained together from nothing.

At time t ∈ {0 … 999} the noisy latent is  x_t = √ᾱ_t x₀ + √(1 − ᾱ_t) ε,  and the network learns the velocity
v = √ᾱ_t ε − √(1 − ᾱ_t) x₀  in the mean square. One caption in ten is empty, for classifier-free guidance.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPTextConfig, CLIPTextModel

from noisekit.tiny import data
from noisekit.tiny.files import forget_origin
from noisekit.tiny.recipe import Recipe
from noisekit.tiny.tokenizer import BOS, EOS, LENGTH, PAD, VOCABULARY, encode, tokenizer
from noisekit.tiny.train import fit
from noisekit.tiny.workers import Crew, launch

BATCH = 64
RATE = 1e-3
WIDTH = 128  # of the text embedding


def scheduler() -> DDIMScheduler:
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=True,
        timestep_spacing="trailing",
        steps_offset=1,
    )


def text_encoder() -> CLIPTextModel:
    """An untrained text encoder of 0.4 M parameters."""
    config = CLIPTextConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=LENGTH,
        projection_dim=WIDTH,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        attn_implementation="eager",
    )
    return CLIPTextModel(config)


def network() -> UNet2DConditionModel:
    """An untrained denoiser of 2.8 M parameters, with cross-attention at both of its levels."""
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(64, 96),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
    )
    unet.set_attn_processor(AttnProcessor())  # its backward pass is the faster one at this size
    return unet


def build(work: Path, out: Path, recipe: Recipe) -> None:
    """Trains the denoiser and writes the whole pipeline to OUT/tiny."""
    if not (out / "tiny" / "model_index.json").exists():
        launch(_train, recipe.workers, work, out, recipe)


def _train(crew: Crew, work: Path, out: Path, recipe: Recipe) -> None:
    torch.manual_seed(recipe.seed)
    text, unet = text_encoder(), network()
    latents = torch.from_numpy(np.load(work / "latents.npy"))
    tokens = tokenizer()
    captions = encode(tokens, data.load(work, "captions", recipe).tolist())
    empty = encode(tokens, [""])[0]
    alphas = scheduler().alphas_cumprod

    def velocity(generator: torch.Generator) -> tuple[torch.Tensor, float]:
        chosen = torch.randint(len(latents), (BATCH,), generator=generator)
        clean, ids = latents[chosen].float(), captions[chosen]
        ids[torch.rand(BATCH, generator=generator) < 0.1] = empty
        t = torch.randint(len(alphas), (BATCH,), generator=generator)
        noise = torch.randn(clean.shape, generator=generator)
        signal = alphas[t].sqrt()[:, None, None, None]
        spread = (1 - alphas[t]).sqrt()[:, None, None, None]
        with torch.autocast("cpu", torch.bfloat16):
            v = unet(signal * clean + spread * noise, t, text(ids)[0]).sample
        loss = (v.float() - (signal * noise - spread * clean)).square().mean()
        return loss, loss.item()

    fit(
        crew,
        [*text.parameters(), *unet.parameters()],
        velocity,
        steps=recipe.denoiser_samples // (BATCH * crew.size),
        rate=RATE,
        seed=recipe.seed,
        state=work / "denoiser.pt",
        title="denoiser",
    )
    if crew.leads:
        vae = AutoencoderKL.from_pretrained(out / "tiny" / "vae", torch_dtype=torch.float16)
        save(vae, text, unet, out / "tiny")
    crew.wait()


def save(vae: AutoencoderKL, text: CLIPTextModel, unet: UNet2DConditionModel, folder: Path) -> None:
    """Writes the complete pipeline in half precision."""
    pipe = StableDiffusionPipeline(
        vae=vae.half(),
        text_encoder=text.half(),
        tokenizer=tokenizer(),
        unet=unet.half(),
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder)
    forget_origin(folder)
