"""What the reward models look at: drawn scenes, the same through the autoencoder, and pictures by the
generator.

A generated picture gets the caption that the checker confirms, which need not be the prompt it was made for,
and the quality that can be measured in its pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from noisekit.tiny import data
from noisekit.tiny.files import save_arrays
from noisekit.tiny.recipe import Recipe
from noisekit.tiny.sampling import decode, pipeline
from noisekit.tiny.turbo import load_pairs
from noisekit.tiny.workers import Crew, launch
from noisekit.world.check import Reading, judge, read
from noisekit.world.grammar import RELATIONS, Scene, parse

SHARD = 1024


@dataclass(frozen=True)
class Pictures:
    """images (n, 3, 32, 32) uint8; captions, true of the image or "" where none is; prompts, that it was made
    for; quality (n,) in [0, 1]."""

    images: np.ndarray
    captions: list[str]
    prompts: list[str]
    quality: np.ndarray


def describe(reading: Reading, rng: np.random.Generator) -> Scene | None:
    """A scene that the picture fulfils, or None where the grammar has no word for what is there."""
    things = [(o.colour, o.shape) for o in reading.objects if o.shape is not None]
    different = len(set(things))
    if not 1 <= len(things) <= 3 or len(things) < len(reading.objects) or different not in (1, len(things)):
        return None
    kind = "count" if different < len(things) else ("single", "pair", "triple")[len(things) - 1]
    order = [things[i] for i in rng.permutation(len(things))]
    background = reading.background if rng.random() < 0.35 else None
    scene = Scene(kind, tuple(order), None, background)
    if kind == "pair" and rng.random() < 0.67:
        for relation in RELATIONS:
            candidate = Scene("relation", scene.objects, relation, background)
            if judge(reading, candidate).fulfilled:
                return candidate
    return scene


def build(work: Path, out: Path, recipe: Recipe) -> None:
    """Decodes and reads the teacher's pairs, WORK/pictures/*.npz; shards that are there are kept."""
    (work / "pictures").mkdir(parents=True, exist_ok=True)
    launch(_decode_shards, recipe.workers, work, out, recipe)


def _decode_shards(crew: Crew, work: Path, out: Path, recipe: Recipe) -> None:
    vae = pipeline(str(out / "tiny")).vae
    _, latents, prompts = load_pairs(work, recipe)
    starts = range(0, len(latents), SHARD)
    for index in tqdm(range(crew.rank, len(starts), crew.size), "pictures", disable=not crew.leads):
        path = work / "pictures" / f"{index:03d}.npz"
        if path.exists():
            continue
        chosen = slice(starts[index], starts[index] + SHARD)
        images = decode(vae, latents[chosen].float()).numpy()
        rng = np.random.default_rng([recipe.seed, 8, index])
        captions, readings = [], [read(image) for image in images]
        for prompt, reading in zip(prompts[chosen], readings, strict=True):
            if judge(reading, parse(prompt)).fulfilled:
                captions.append(prompt)
            else:
                scene = describe(reading, rng)
                captions.append(scene.caption if scene else "")
        save_arrays(
            path,
            images=(images * 255).round().astype(np.uint8),
            captions=captions,
            prompts=prompts[chosen],
            quality=[reading.quality for reading in readings],
        )


def load_generated(work: Path) -> Pictures:
    """The teacher's pictures."""
    shards = [np.load(path) for path in sorted((work / "pictures").glob("???.npz"))]
    images, captions, prompts, quality = (
        np.concatenate([shard[name] for shard in shards])
        for name in ("images", "captions", "prompts", "quality")
    )
    return Pictures(images, captions.tolist(), prompts.tolist(), quality)


def load_drawn(work: Path, recipe: Recipe) -> Pictures:
    """The training scenes."""
    captions = data.load(work, "captions", recipe).tolist()
    return Pictures(data.load(work, "images", recipe), captions, captions, data.load(work, "quality", recipe))


def both_outcomes(generated: Pictures) -> list[tuple[str, list[int], list[int]]]:
    """The prompts that were fulfilled by some pictures and not by others, with the places of both."""
    outcomes: dict[str, tuple[list[int], list[int]]] = {}
    for i, (prompt, caption) in enumerate(zip(generated.prompts, generated.captions, strict=True)):
        outcomes.setdefault(prompt, ([], []))[prompt != caption].append(i)
    return [(prompt, good, bad) for prompt, (good, bad) in outcomes.items() if good and bad]
