"""tiny-orbit: the picture of a thing on a turntable becomes FRAMES views of it, one turn, the last from where the
picture was.

A small network of SV3D-U's kind, a `UNetSpatioTemporalConditionModel` that is told one number besides, trained as its
teachers were (EDM, v-prediction): with σ from a wide log-normal distribution, x₀ the views' latents and ε noise,

    x = (x₀ + σ·ε)/√(σ² + 1)        u(x, ¼·ln σ, image) → (ε − σ·x₀)/√(σ² + 1)        in the mean square

The image is given twice, as latents beside each frame's and as one token of a vision tower that learns along; in one clip of
ten both are zeros, for guidance. The autoencoder is that of `tiny`, in OUT or bundled, taught the turntable's
pictures. Every view of a thing may be the one that is given: a turn begins anywhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
)
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor
from torch.nn.functional import interpolate
from tqdm import tqdm
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from noisekit.paths import BUNDLED
from noisekit.tiny.data import as_input
from noisekit.tiny.files import forget_origin, save_array
from noisekit.tiny.recipe import Recipe
from noisekit.tiny.train import fit
from noisekit.tiny.vae import whiten
from noisekit.tiny.workers import Crew, launch
from noisekit.world.turntable import sample_thing, turn

FRAMES = 8
SIGMA_MIN, SIGMA_MAX = 0.02, 80.0
#: Of the noise in the image that is given, as SV3D-U is told.
AUGMENTATION = 1e-5
WIDTH = 64  # of the image's token
BATCH, RATE = 8, 1.2e-3
IMAGES, IMAGE_RATE = 32, 1e-3
#: Pixels of the pictures that the vision tower reads, as the pipeline resizes them.
READ = 224


def scheduler() -> EulerDiscreteScheduler:
    """SV3D's, over a narrower range of σ."""
    return EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        timestep_type="continuous",
        timestep_spacing="leading",
        steps_offset=1,
        use_karras_sigmas=True,
        sigma_min=SIGMA_MIN,
        sigma_max=SIGMA_MAX,
    )


def network() -> UNetSpatioTemporalConditionModel:
    """An untrained denoiser of clips."""
    unet = UNetSpatioTemporalConditionModel(
        sample_size=8,
        in_channels=8,
        out_channels=4,
        num_frames=FRAMES,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        cross_attention_dim=WIDTH,
        num_attention_heads=2,
        addition_time_embed_dim=32,
        projection_class_embeddings_input_dim=32,
    )
    unet.set_attn_processor(AttnProcessor())  # its backward pass is the faster one at this size
    return unet


def vision_tower() -> CLIPVisionModelWithProjection:
    """An untrained encoder of the image's token."""
    config = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=READ,
        patch_size=32,
        projection_dim=WIDTH,
    )
    return CLIPVisionModelWithProjection(config)


def build(work: Path, out: Path, recipe: Recipe) -> None:
    """Draws WORK/orbit, trains on it and writes the whole pipeline to OUT/tiny-orbit."""
    if (out / "tiny-orbit" / "model_index.json").exists():
        return
    (work / "orbit").mkdir(parents=True, exist_ok=True)
    launch(_draw, recipe.workers, work, recipe)
    launch(_train_vae, recipe.workers, work, out, recipe)
    launch(_train, recipe.workers, work, out, recipe)


def _draw(crew: Crew, work: Path, recipe: Recipe) -> None:
    for index in tqdm(range(crew.rank, _shards(recipe), crew.size), "turns", disable=not crew.leads):
        path = work / "orbit" / f"{index:03d}.npy"
        if not path.exists():
            rng = np.random.default_rng([recipe.seed, 12, index])
            turns = [turn(sample_thing(rng), FRAMES) for _ in range(recipe.orbit_shard)]
            save_array(path, (np.stack(turns) * 255).round().astype(np.uint8))


def _shards(recipe: Recipe) -> int:
    return recipe.orbit_things // recipe.orbit_shard


def _turns(work: Path, recipe: Recipe) -> np.ndarray:
    """All turns (n, FRAMES, 3, 32, 32), uint8."""
    return np.concatenate([np.load(work / "orbit" / f"{i:03d}.npy") for i in range(_shards(recipe))])


def _train_vae(crew: Crew, work: Path, out: Path, recipe: Recipe) -> None:
    if (work / "orbit" / "vae" / "config.json").exists():
        return
    torch.manual_seed(recipe.seed)
    own = out / "tiny" / "vae"
    taught = own if own.is_dir() else BUNDLED / "tiny" / "vae"
    vae = AutoencoderKL.from_pretrained(taught, torch_dtype=torch.float32)
    pictures = _turns(work, recipe).reshape(-1, 3, 32, 32)

    def loss(generator: torch.Generator) -> tuple[Tensor, float]:
        x = as_input(pictures[torch.randint(len(pictures), (IMAGES,), generator=generator).numpy()])
        with torch.autocast("cpu", torch.bfloat16):
            posterior = vae.encode(x).latent_dist
            z = posterior.mean + 0.1 * torch.randn(posterior.mean.shape, generator=generator)
            y = vae.decode(z).sample.float()
        error = (y - x).square().mean()
        spread = posterior.mean.float().square().mean()
        return error + 0.1 * (y - x).abs().mean() + 1e-3 * spread, error.item()

    fit(
        crew,
        list(vae.parameters()),
        loss,
        steps=recipe.orbit_vae_samples // (IMAGES * crew.size),
        rate=IMAGE_RATE,
        seed=recipe.seed + 2,
        state=work / "orbit" / "vae.pt",
        title="autoencoder of turns",
        decay=1.0,
    )
    if crew.leads:
        whiten(vae, as_input(pictures[: 4 * len(pictures) // 5 : max(1, len(pictures) // 2500)]))
        vae.save_pretrained(work / "orbit" / "vae")
    crew.wait()


@torch.no_grad()
def _latents(vae: AutoencoderKL, turns: np.ndarray) -> Tensor:
    """The modes (n, FRAMES, 4, 8, 8) of all views."""
    with torch.autocast("cpu", torch.bfloat16):
        parts = [vae.encode(as_input(part)).latent_dist.mean.half() for part in turns]
    return torch.stack(parts)


def _train(crew: Crew, work: Path, out: Path, recipe: Recipe) -> None:
    torch.manual_seed(recipe.seed)
    vae = AutoencoderKL.from_pretrained(work / "orbit" / "vae", torch_dtype=torch.float32)
    turns = _turns(work, recipe)
    latents = _latents(vae, turns)
    unet, tower = network(), vision_tower()
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in _normalisation())

    def loss(generator: torch.Generator) -> tuple[Tensor, float]:
        chosen = torch.randint(len(latents), (BATCH,), generator=generator)
        first = torch.randint(FRAMES, (BATCH, 1), generator=generator)
        order = (first + torch.arange(1, FRAMES + 1)) % FRAMES
        clean = latents[chosen[:, None], order].float()
        given = as_input(turns[chosen.numpy(), first[:, 0].numpy()])
        shown = (torch.rand(BATCH, generator=generator) >= 0.1).float()
        sigma = sigmas(generator, BATCH).view(-1, 1, 1, 1, 1)
        noise = torch.randn(clean.shape, generator=generator)
        scale = (sigma**2 + 1).sqrt()
        image = clean[:, -1:] * shown.view(-1, 1, 1, 1, 1)
        x = torch.cat([(clean + sigma * noise) / scale, image.expand_as(clean)], 2)
        pixels = interpolate(given, (READ, READ), mode="bicubic", align_corners=True) / 2 + 0.5
        with torch.autocast("cpu", torch.bfloat16):
            token = tower((pixels - mean) / deviation).image_embeds * shown[:, None]
            ids = torch.full((BATCH, 1), AUGMENTATION)
            u = unet(x, sigma.flatten().log() / 4, token[:, None], added_time_ids=ids, return_dict=False)[0]
        error = (u.float() - (noise - sigma * clean) / scale).square().mean()
        return error, error.item()

    fit(
        crew,
        [*unet.parameters(), *tower.parameters()],
        loss,
        steps=recipe.orbit_samples // (BATCH * crew.size),
        rate=RATE,
        seed=recipe.seed + 3,
        state=work / "orbit" / "denoiser.pt",
        title="orbit",
    )
    if crew.leads:
        save(vae, tower, unet, out / "tiny-orbit")
    crew.wait()


def sigmas(generator: torch.Generator, n: int) -> Tensor:
    """σ (n,) for training: log-normal around e, one in five anywhere between the sampler's ends."""
    low, high = np.log(SIGMA_MIN), np.log(SIGMA_MAX)
    usual = 1 + 1.5 * torch.randn(n, generator=generator)
    anywhere = low + (high - low) * torch.rand(n, generator=generator)
    wide = torch.rand(n, generator=generator) < 0.2
    return torch.where(wide, anywhere, usual).clamp(low, high).exp()


def _normalisation() -> tuple[list[float], list[float]]:
    extractor = CLIPImageProcessor()
    return list(extractor.image_mean), list(extractor.image_std)


def save(vae: Any, tower: Any, unet: Any, folder: Path) -> None:
    """Writes the complete pipeline in half precision."""
    pipe = StableVideoDiffusionPipeline(
        vae=vae.half(),
        image_encoder=tower.half(),
        unet=unet.half(),
        scheduler=scheduler(),
        feature_extractor=CLIPImageProcessor(),
    )
    pipe.save_pretrained(folder)
    forget_origin(folder)
