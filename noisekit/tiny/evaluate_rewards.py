"""Measures the bundled rewards as witnesses: what each can tell apart, and how much they are alike.

- Pairs: the share of fresh pairs, drawn with the same layout, of which a reward prefers the right image. *Word*: the
  second image shows the prompt with one word changed. *Quality*: it shows the prompt too, with a q lower by 0.25.
- Area: within a prompt, the probability that a fulfilled image of the generator scores above a failed one, as a mean
  over the prompts that have both.
- Rank correlations (Spearman) of rewards, truth and quality over the same images.

    python -m noisekit.tiny.evaluate_rewards
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import numpy as np
import torch
from diffusers import AutoencoderKL
from scipy.stats import rankdata, spearmanr
from torch.nn import functional as F

from noisekit.rewards import load_reward
from noisekit.rewards.mps import CONDITIONS, MPS
from noisekit.tiny import WEIGHTS
from noisekit.tiny.evaluate import area, generate, look
from noisekit.tiny.mps import LENGTH, VOCABULARY
from noisekit.tiny.sampling import pipeline
from noisekit.tiny.tokenizer import encode, tokenizer
from noisekit.tiny.towers import preprocess
from noisekit.world import draw, near_misses, parse, sample_scene, suite

NAMES = ("hps", "pick_score", "image_reward", "mps", "clip_score", "aesthetic")
STEP = 0.25  # of quality
FIRST = 600  # seed of the images; no other figure and no choice was made on these seeds

Score = Callable[[torch.Tensor, Sequence[str]], torch.Tensor]
Pairs = tuple[list[str], torch.Tensor]  # prompts (n,), images (n, 2, 3, 32, 32): the better one first


def rewards(names: Sequence[str] = NAMES) -> dict[str, Score]:
    """The bundled rewards by name, as functions of images and prompts."""

    return {name: in_parts(load_reward(name)) for name in names}


def conditions() -> dict[str, Score]:
    """mps under each of its conditions."""
    network, tokens = cast(MPS, load_reward("mps")).network, tokenizer(VOCABULARY, LENGTH)

    def scorer(condition: str) -> Score:
        def score(images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
            end, seen, scale = network(
                preprocess(images), encode(tokens, prompts), encode(tokens, [condition])
            )
            return scale * F.cosine_similarity(end, seen)

        return in_parts(score)

    return {f"mps, {name}": scorer(condition) for name, condition in CONDITIONS.items()}


def in_parts(score: Score) -> Score:
    """The same score without gradient, 250 images at a time."""

    @torch.no_grad()
    def whole(images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        starts = range(0, len(prompts), 250)
        return torch.cat([score(images[i : i + 250], prompts[i : i + 250]) for i in starts])

    return whole


def word_pairs(n: int, rng: np.random.Generator) -> Pairs:
    """Clean scenes next to scenes that differ in one word."""
    scenes = [sample_scene(rng, unseen=None) for _ in range(n)]
    others = [parse(str(rng.choice(near_misses(scene)))) for scene in scenes]
    keys = rng.integers(2**62, size=n)
    images = [
        [draw([each], np.random.default_rng(key))[0] for each in pair]
        for *pair, key in zip(scenes, others, keys, strict=True)
    ]
    return [scene.caption for scene in scenes], torch.from_numpy(np.array(images))


def quality_pairs(n: int, rng: np.random.Generator) -> Pairs:
    """Scenes drawn at a random q and at q − 0.25."""
    scenes = [sample_scene(rng, unseen=None) for _ in range(n)]
    keys, better = rng.integers(2**62, size=n), rng.uniform(STEP, 1, n)
    images = [
        [draw([scene], np.random.default_rng(key), q)[0] for q in (high, high - STEP)]
        for scene, key, high in zip(scenes, keys, better, strict=True)
    ]
    return [scene.caption for scene in scenes], torch.from_numpy(np.array(images))


@torch.no_grad()
def through(vae: AutoencoderKL, pairs: Pairs) -> Pairs:
    """The same pairs through the autoencoder."""
    prompts, images = pairs
    latents = vae.encode(2 * images.flatten(0, 1) - 1).latent_dist.mean
    again = (vae.decode(latents).sample / 2 + 0.5).clamp(0, 1)
    return prompts, again.view_as(images)


def accuracy(score: Score, pairs: Pairs) -> float:
    """The share of pairs whose first image scores higher."""
    prompts, images = pairs
    better, worse = score(images[:, 0], prompts), score(images[:, 1], prompts)
    return float((better > worse).float().mean())


def area_within(scores: np.ndarray, truth: np.ndarray) -> tuple[float, int]:
    """The mean area over prompts with both outcomes, and their number; scores and truth (seeds, prompts)."""
    mixed = [i for i in range(truth.shape[1]) if 0 < truth[:, i].sum() < len(truth)]
    return float(np.mean([area(scores[:, i], truth[:, i]) for i in mixed])), len(mixed)


def correlations(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Spearman's correlations of columns (seeds, prompts): above the diagonal over all images, below it within prompts.

    Within prompts, images are ranked among those of their prompt and the ranks pooled over all prompts.
    """
    overall = spearmanr(np.stack([values.ravel() for values in columns.values()], 1)).statistic
    ranks = [rankdata(values, axis=0) for values in columns.values()]
    within = np.corrcoef([rank.ravel() for rank in ranks])
    return np.triu(overall, 1) + np.tril(within, -1) + np.eye(len(columns))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(seeds: int, n: int) -> str:
    """Both tables."""
    prompts, scorers = suite(), rewards()
    pipe = pipeline(str(WEIGHTS / "tiny"))
    rng = np.random.default_rng(103)
    drawn = [word_pairs(n, rng), quality_pairs(n, rng)]
    pairs = [drawn[0], through(pipe.vae, drawn[0]), drawn[1], through(pipe.vae, drawn[1])]
    images = torch.stack([generate(pipe, prompts, FIRST + seed, 8, 3.0) for seed in range(seeds)])
    truth, quality = look(images, prompts)
    figures, scores = [], {}
    for name, score in scorers.items():
        values = np.stack([score(part, prompts).numpy() for part in images])
        within, mixed = area_within(values, truth)
        figures.append([name, *(f"{accuracy(score, each):.3f}" for each in pairs), f"{within:.3f}"])
        scores[name] = values
    header = ["reward", "word, drawn", "word, autoencoder", "quality, drawn", "quality, autoencoder"]
    first = table([*header, f"area within {mixed} prompts"], figures)
    columns = scores | {"truth": truth.astype(float), "quality": quality}
    matrix = correlations(columns)
    rows = [
        [name, *("–" if i == j else f"{value:+.2f}" for j, value in enumerate(row))]
        for i, (name, row) in enumerate(zip(columns, matrix, strict=True))
    ]
    return f"{first}\n\n{table(['', *columns], rows)}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=500)
    options = parser.parse_args()
    print(main(options.seeds, options.pairs))
