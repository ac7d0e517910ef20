"""The one-step student: it learns where the teacher's sampler takes a noise.

The teacher's pairs are (noise ε, caption c) → latent z after a few guided DDIM steps. The student starts as
the teacher and predicts, from the noise at t = 999 alone and without guidance,  ẑ = √ᾱ ε − √(1 − ᾱ) v(ε,
c);  its loss is the pseudo-Huber distance  √(‖ẑ − z‖² + δ² d) / √d  with d = 256 numbers in a latent and δ =
.05.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from tqdm import tqdm

from noisekit.files import whole_folder
from noisekit.tiny.files import forget_origin, save_arrays
from noisekit.tiny.recipe import Recipe
from noisekit.tiny.sampling import LAST, pipeline, sample
from noisekit.tiny.tokenizer import encode
from noisekit.tiny.train import fit, generator
from noisekit.tiny.workers import Crew, launch
from noisekit.world.grammar import sample_scene

BATCH = 64
RATE = 5e-4
STEPS = 6
GUIDANCE = 3.0
DELTA = 0.05


def build_pairs(work: Path, out: Path, recipe: Recipe) -> None:
    """Samples the teacher into WORK/pairs/*.npz; shards that are there are kept."""
    (work / "pairs").mkdir(parents=True, exist_ok=True)
    launch(_sample_shards, recipe.workers, work, out, recipe)


def _sample_shards(crew: Crew, work: Path, out: Path, recipe: Recipe) -> None:
    pipe = pipeline(str(out / "tiny"))
    empty = pipe.text_encoder(encode(pipe.tokenizer, [""]))[0]
    shards = range(crew.rank, recipe.pairs // recipe.pair_shard, crew.size)
    for index in tqdm(shards, "pairs", disable=not crew.leads):
        path = work / "pairs" / f"{index:03d}.npz"
        if path.exists():
            continue
        rng = np.random.default_rng([recipe.seed, 7, index])
        captions = [sample_scene(rng).caption for _ in range(recipe.pair_shard)]
        noise = torch.randn(len(captions), 4, 8, 8, generator=generator(recipe.seed, 7, index))
        latents = []
        for part in torch.arange(len(captions)).split(128):
            text = pipe.text_encoder(encode(pipe.tokenizer, [captions[i] for i in part]))[0]
            alphas = pipe.scheduler.alphas_cumprod
            latents.append(sample(pipe.unet, alphas, noise[part], text, empty, STEPS, GUIDANCE))
        save_arrays(path, noise=noise.half(), latents=torch.cat(latents).half(), captions=captions)


def load_pairs(work: Path, recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    """Noise and latents, each (n, 4, 8, 8) in half precision, and the n captions."""
    paths = [work / "pairs" / f"{index:03d}.npz" for index in range(recipe.pairs // recipe.pair_shard)]
    shards = [np.load(path) for path in paths]
    noise, latents, captions = (
        np.concatenate([shard[name] for shard in shards]) for name in ("noise", "latents", "captions")
    )
    return torch.from_numpy(noise), torch.from_numpy(latents), captions.tolist()


def build(work: Path, out: Path, recipe: Recipe) -> None:
    """Trains the student and writes its network to OUT/tiny-turbo/unet."""
    if not (out / "tiny-turbo" / "unet" / "config.json").exists():
        launch(_train, recipe.workers, work, out, recipe)


def _train(crew: Crew, work: Path, out: Path, recipe: Recipe) -> None:
    pipe = pipeline(str(out / "tiny"))
    student = UNet2DConditionModel.from_pretrained(out / "tiny" / "unet", torch_dtype=torch.float32)
    student.set_attn_processor(AttnProcessor())
    noise, latents, captions = load_pairs(work, recipe)
    ids = encode(pipe.tokenizer, captions)
    alpha = pipe.scheduler.alphas_cumprod[LAST]

    def distance(generator: torch.Generator) -> tuple[torch.Tensor, float]:
        chosen = torch.randint(len(noise), (BATCH,), generator=generator)
        x, z = noise[chosen].float(), latents[chosen].float()
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                text = pipe.text_encoder(ids[chosen])[0]
            v = student(x, LAST, text).sample.float()
        error = alpha.sqrt() * x - (1 - alpha).sqrt() * v - z
        square = error.square().flatten(1).mean(1)
        return (square + DELTA**2).sqrt().mean(), square.mean().item()

    fit(
        crew,
        list(student.parameters()),
        distance,
        steps=recipe.turbo_samples // (BATCH * crew.size),
        rate=RATE,
        seed=recipe.seed,
        state=work / "turbo.pt",
        title="student",
        decay=0.8,
    )
    if crew.leads:
        with whole_folder(out / "tiny-turbo" / "unet") as folder:
            student.half().save_pretrained(folder)
            forget_origin(folder)
    crew.wait()
