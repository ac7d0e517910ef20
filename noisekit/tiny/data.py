"""The training set: drawn scenes with their captions and their quality, in shards.

Half the scenes are clean (q = 1); the others have q uniform in [0, 1]. No caption mentions a held-out thing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from noisekit.tiny.files import save_arrays
from noisekit.tiny.recipe import Recipe
from noisekit.tiny.workers import Crew, launch
from noisekit.world.grammar import sample_scene
from noisekit.world.render import draw


def qualities(n: int, rng: np.random.Generator) -> np.ndarray:
    """Half ones, half uniform: (n,) in [0, 1]."""
    return np.where(rng.random(n) < 0.5, 1.0, rng.random(n))


def build(work: Path, recipe: Recipe) -> None:
    """Draws ``recipe.scenes`` scenes into WORK/data/*.npz; shards that are there are kept."""
    (work / "data").mkdir(parents=True, exist_ok=True)
    launch(_draw_shards, recipe.workers, work, recipe)


def _draw_shards(crew: Crew, work: Path, recipe: Recipe) -> None:
    shards = range(crew.rank, recipe.scenes // recipe.shard, crew.size)
    for index in tqdm(shards, "scenes", disable=not crew.leads):
        path = work / "data" / f"{index:03d}.npz"
        if path.exists():
            continue
        rng = np.random.default_rng([recipe.seed, index])
        scenes = [sample_scene(rng) for _ in range(recipe.shard)]
        q = qualities(recipe.shard, rng)
        images = [
            (draw(scenes[i : i + 200], rng, q[i : i + 200]) * 255).round().astype(np.uint8)
            for i in range(0, recipe.shard, 200)
        ]
        save_arrays(path, images=np.concatenate(images), captions=[s.caption for s in scenes], quality=q)


def load(work: Path, field: str, recipe: Recipe) -> np.ndarray:
    """One field of all shards: images (n, 3, 32, 32) uint8, captions (n,) or quality (n,)."""
    paths = [work / "data" / f"{index:03d}.npz" for index in range(recipe.scenes // recipe.shard)]
    return np.concatenate([np.load(path)[field] for path in paths])


def as_input(images: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Bytes to the range of the networks: float32 in [−1, 1]."""
    return torch.as_tensor(images).float() / 127.5 - 1
