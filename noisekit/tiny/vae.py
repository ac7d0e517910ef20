"""The autoencoder: 32×32 images to latents of 4×8×8 and back.

First both halves learn  E‖x − D(z)‖² + .1 E|x − D(z)| + 10⁻⁴ KL,  z drawn from the posterior. Then the
latents are whitened per channel, z ← (z − m) / s, folded into the convolutions at either side so that
scaling_factor is 1. At last the decoder alone goes on, with noise on its latents, since a generator's latents
will not be perfect either.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from noisekit.files import whole_folder
from noisekit.tiny import data
from noisekit.tiny.files import save_array
from noisekit.tiny.recipe import Recipe
from noisekit.tiny.train import fit
from noisekit.tiny.workers import Crew, launch

BATCH = 32
RATE = 1.5e-3


def network() -> AutoencoderKL:
    """An untrained autoencoder of 0.9 M parameters."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        block_out_channels=(32, 64, 64),
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        norm_num_groups=8,
        sample_size=32,
        mid_block_add_attention=False,
        scaling_factor=1.0,
    )


def build(work: Path, out: Path, recipe: Recipe) -> None:
    """Trains the autoencoder (OUT/tiny/vae) and encodes the training set (WORK/latents.npy)."""
    if not (out / "tiny" / "vae" / "config.json").exists():
        launch(_train, recipe.workers, work, out, recipe)
    launch(_encode, recipe.workers, work, out, recipe)
    parts = sorted((work / "latents").glob("*.npy"))
    save_array(work / "latents.npy", np.concatenate([np.load(part) for part in parts]))


def _train(crew: Crew, work: Path, out: Path, recipe: Recipe) -> None:
    torch.manual_seed(recipe.seed)
    vae = network()
    images = data.load(work, "images", recipe)

    def batch(generator: torch.Generator) -> torch.Tensor:
        chosen = torch.randint(len(images), (BATCH,), generator=generator)
        return data.as_input(images[chosen.numpy()])

    def both(generator: torch.Generator) -> tuple[torch.Tensor, float]:
        x = batch(generator)
        with torch.autocast("cpu", torch.bfloat16):
            posterior = vae.encode(x).latent_dist
            y = vae.decode(posterior.sample(generator)).sample.float()
        error = (y - x).square().mean()
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        return error + 0.1 * (y - x).abs().mean() + 1e-4 * kl, error.item()

    def decoder(generator: torch.Generator) -> tuple[torch.Tensor, float]:
        x = batch(generator)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            z = vae.encode(x).latent_dist.mean.float()
        amount = 0.15 * torch.rand(BATCH, 1, 1, 1, generator=generator)
        z = z + amount * torch.randn(z.shape, generator=generator)
        with torch.autocast("cpu", torch.bfloat16):
            y = vae.decode(z).sample.float()
        error = (y - x).square().mean()
        return error + 0.15 * (y - x).abs().mean(), error.item()

    per_step = BATCH * crew.size
    fit(
        crew,
        list(vae.parameters()),
        both,
        steps=recipe.vae_samples // per_step,
        rate=RATE,
        seed=recipe.seed,
        state=work / "vae.pt",
        title="autoencoder",
    )
    whiten(vae, data.as_input(images[:2000]))
    vae.encoder.requires_grad_(False)
    vae.quant_conv.requires_grad_(False)
    fit(
        crew,
        list(vae.parameters()),
        decoder,
        steps=recipe.decoder_samples // per_step,
        rate=RATE / 2,
        seed=recipe.seed + 1,
        state=work / "decoder.pt",
        title="decoder",
        decay=1.0,
    )
    if crew.leads:
        with whole_folder(out / "tiny" / "vae") as folder:
            vae.half().save_pretrained(folder)
    crew.wait()


@torch.no_grad()
def whiten(vae: AutoencoderKL, images: torch.Tensor) -> None:
    """Folds zero mean and unit deviation per latent channel into quant_conv and post_quant_conv."""
    latents = torch.cat([vae.encode(part).latent_dist.mean for part in images.split(250)])
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    channels = len(mean)
    before, after = vae.quant_conv, vae.post_quant_conv
    before.weight[:channels] /= deviation[:, None, None, None]
    before.bias[:channels] = (before.bias[:channels] - mean) / deviation
    before.bias[channels:] -= 2 * deviation.log()  # the logarithm of the variance
    after.bias += after.weight[:, :, 0, 0] @ mean
    after.weight *= deviation[None, :, None, None]


@torch.no_grad()
def _encode(crew: Crew, work: Path, out: Path, recipe: Recipe) -> None:
    vae = AutoencoderKL.from_pretrained(out / "tiny" / "vae", torch_dtype=torch.float32)
    (work / "latents").mkdir(exist_ok=True)
    for index in range(crew.rank, recipe.scenes // recipe.shard, crew.size):
        path = work / "latents" / f"{index:03d}.npy"
        if path.exists():
            continue
        images = np.load(work / "data" / f"{index:03d}.npz")["images"]
        with torch.autocast("cpu", torch.bfloat16):
            parts = [vae.encode(x).latent_dist.mean.half() for x in data.as_input(images).split(250)]
        save_array(path, torch.cat(parts).numpy())
