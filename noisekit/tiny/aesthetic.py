"""aesthetic's tiny model: a CLIP vision tower and a linear head that says how good a picture is, whatever it
shows.

The score  h · u / ‖u‖ + b  of the projected embedding u is regressed on the quality in [0, 1]: the q that
scenes were drawn with, and the quality measured in the pixels of generated pictures. It never reads a
caption, and it shares neither weights nor seed nor scenes with clip_score.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from transformers import CLIPVisionModelWithProjection

from noisekit.files import whole_folder
from noisekit.tiny.data import qualities
from noisekit.tiny.pictures import load_generated
from noisekit.tiny.recipe import Recipe
from noisekit.tiny.towers import EMBEDDING, preprocess, save_preprocessing, vision
from noisekit.tiny.train import fit
from noisekit.tiny.workers import Crew, launch
from noisekit.world.grammar import sample_scene
from noisekit.world.render import draw

BATCH = 64
RATE = 1e-3
EMPHASIS = 10.0  # on generated pictures: their qualities differ little, but these are what will be judged


def build(work: Path, out: Path, recipe: Recipe) -> None:
    """Trains tower and head and writes them to OUT/aesthetic."""
    if not (out / "aesthetic" / "head.safetensors").exists():
        launch(_train, recipe.workers, work, out, recipe)


def score(tower: CLIPVisionModelWithProjection, head: torch.nn.Linear, images: torch.Tensor) -> torch.Tensor:
    """Scores (n,) of images (n, 3, 32, 32) in [0, 1]."""
    embedding = tower(pixel_values=preprocess(images)).image_embeds.float()
    return head(F.normalize(embedding, dim=-1))[:, 0]


def _train(crew: Crew, work: Path, out: Path, recipe: Recipe) -> None:
    torch.manual_seed(recipe.seed + 3)
    tower = CLIPVisionModelWithProjection._from_config(vision(3), attn_implementation="eager")
    head = torch.nn.Linear(EMBEDDING, 1)
    generated = load_generated(work)

    def regress(generator: torch.Generator) -> tuple[torch.Tensor, float]:
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
        half = BATCH // 2
        q = qualities(half, rng)
        drawn = draw([sample_scene(rng) for _ in range(half)], rng, q)
        chosen = rng.integers(len(generated.images), size=half)
        images = np.concatenate([drawn, generated.images[chosen].astype(np.float32) / 255])
        target = torch.from_numpy(np.concatenate([q, generated.quality[chosen]])).float()
        with torch.autocast("cpu", torch.bfloat16):
            embedding = tower(pixel_values=preprocess(torch.from_numpy(images))).image_embeds
        predicted = head(F.normalize(embedding.float(), dim=-1))[:, 0]
        error = (predicted - target).square()
        return error[:half].mean() + EMPHASIS * error[half:].mean(), error[half:].mean().item()

    fit(
        crew,
        [*tower.parameters(), *head.parameters()],
        regress,
        steps=recipe.aesthetic_samples // (BATCH * crew.size),
        rate=RATE,
        seed=recipe.seed + 3,
        state=work / "aesthetic.pt",
        title="aesthetic",
        decay=0.8,
    )
    if crew.leads:
        weights = {name: value.detach().clone() for name, value in head.state_dict().items()}
        with whole_folder(out / "aesthetic") as folder:
            tower.half().save_pretrained(folder)
            save_preprocessing(folder)
            save_file(weights, folder / "head.safetensors")
    crew.wait()
