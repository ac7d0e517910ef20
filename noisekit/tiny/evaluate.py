"""Measures the bundled weights: the figures of the model card. Everything in single precision, through the real classes.

A figure of the suite is the share of its 250 prompts × seeds whose image the checker calls fulfilled. The area under
the curve of a prompt is the probability that the CLIP ranks one of its fulfilled images above one of its failed ones.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file
from scipy.stats import spearmanr
from tqdm import tqdm
from transformers import AutoTokenizer, CLIPModel, CLIPVisionModelWithProjection

from noisekit.tiny import WEIGHTS, aesthetic, clip
from noisekit.tiny.sampling import pipeline
from noisekit.tiny.tokenizer import encode
from noisekit.tiny.towers import EMBEDDING
from noisekit.tiny.train import generator
from noisekit.world import KINDS, draw, judge, near_misses, parse, read, sample_scene, suite

BATCH = 50


def turbo(pipe: StableDiffusionPipeline, folder: Path) -> StableDiffusionPipeline:
    """The pipeline with the student in the place of its denoiser."""
    student = UNet2DConditionModel.from_pretrained(folder, torch_dtype=torch.float32)
    student.eval().requires_grad_(False)
    fast = StableDiffusionPipeline(**{**pipe.components, "unet": student}, requires_safety_checker=False)
    fast.set_progress_bar_config(disable=True)
    return fast


def generate(
    pipe: StableDiffusionPipeline, prompts: Sequence[str], seed: int, steps: int, guidance: float
) -> torch.Tensor:
    """Images (n, 3, 32, 32) in [0, 1]; prompt i starts from the noise of (seed, i)."""
    images = []
    for start in tqdm(range(0, len(prompts), BATCH), f"{steps} steps, seed {seed}"):
        part = list(prompts[start : start + BATCH])
        noise = [torch.randn(1, 4, 8, 8, generator=generator(seed, start + i)) for i in range(len(part))]
        output = pipe(
            part,
            latents=torch.cat(noise),
            num_inference_steps=steps,
            guidance_scale=guidance,
            output_type="pt",
        )
        images.append(output.images)
    return torch.cat(images)


def shares(prompts: Sequence[str], fulfilled: np.ndarray) -> dict[str, float]:
    """The share of fulfilled images: all, by kind, seen and unseen. fulfilled: (seeds, prompts)."""
    scenes = [parse(prompt) for prompt in prompts]
    groups = {"all": np.ones(len(scenes), bool)}
    groups |= {kind: np.array([scene.kind == kind for scene in scenes]) for kind in KINDS}
    groups["unseen"] = np.array([scene.unseen for scene in scenes])
    groups["seen"] = ~groups["unseen"]
    return {name: round(float(fulfilled[:, chosen].mean()), 3) for name, chosen in groups.items()}


def checker(n: int = 4000) -> dict[str, float]:
    """Clean renders: the share that is accepted, and the share that other prompts and near misses accept."""
    rng = np.random.default_rng(100)
    scenes = [sample_scene(rng, unseen=None) for _ in range(n)]
    readings = [read(image) for image in draw(scenes, rng)]
    own = [judge(r, s).fulfilled for r, s in zip(readings, scenes, strict=True)]
    others = [scenes[i] for i in rng.permutation(n)]
    other = [
        judge(r, o).fulfilled
        for r, s, o in zip(readings, scenes, others, strict=True)
        if o.caption != s.caption
    ]
    near = [
        judge(r, parse(str(rng.choice(near_misses(s))))).fulfilled
        for r, s in zip(readings, scenes, strict=True)
    ]
    return {
        "own prompt": round(float(np.mean(own)), 4),
        "other prompt": round(float(np.mean(other)), 4),
        "one word different": round(float(np.mean(near)), 4),
    }


def area(scores: np.ndarray, truth: np.ndarray) -> float:
    """The probability that a true one scores above a false one, ties counting half."""
    difference = scores[truth][:, None] - scores[~truth][None]
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


@torch.no_grad()
def rewards(
    weights: Path, prompts: Sequence[str], images: torch.Tensor, truth: np.ndarray, quality: np.ndarray
) -> dict[str, float]:
    """Both reward models on generated images (seeds, prompts, 3, 32, 32), with truth and quality (seeds, prompts)."""
    folder = weights / "clip_score"
    model = CLIPModel.from_pretrained(folder, torch_dtype=torch.float32).eval()
    tokens = AutoTokenizer.from_pretrained(folder)
    captions = clip.embed_captions(model, encode(tokens, prompts))
    embedded = torch.stack([clip.embed_images(model, part) for part in images])
    similarity = (embedded * captions).sum(-1).numpy()  # (seeds, prompts)
    mixed = [i for i in range(len(prompts)) if 0 < truth[:, i].sum() < len(truth)]

    rng = np.random.default_rng(101)
    scenes = [sample_scene(rng) for _ in range(1500)]
    drawn = torch.from_numpy(draw(scenes, rng))
    own = clip.embed_captions(model, encode(tokens, [scene.caption for scene in scenes]))
    miss = clip.embed_captions(model, encode(tokens, [str(rng.choice(near_misses(s))) for s in scenes]))
    seen = torch.cat([clip.embed_images(model, part) for part in drawn.split(250)])
    right = ((seen * own).sum(-1) > (seen * miss).sum(-1)).numpy()

    good = [(k, i) for i in range(len(prompts)) for k in range(len(truth)) if truth[k, i]]
    misses = encode(tokens, [str(rng.choice(near_misses(parse(prompts[i])))) for _, i in good])
    missed = clip.embed_captions(model, misses)
    above = [similarity[k, i] > float(embedded[k, i] @ missed[j]) for j, (k, i) in enumerate(good)]

    tower = CLIPVisionModelWithProjection.from_pretrained(weights / "aesthetic", torch_dtype=torch.float32)
    head = torch.nn.Linear(EMBEDDING, 1)
    head.load_state_dict(load_file(weights / "aesthetic" / "head.safetensors"))
    tower.eval()
    judged = torch.stack([aesthetic.score(tower, head, part) for part in images]).numpy()
    nuisance = rng.random(1500).astype(np.float32)
    poor = torch.from_numpy(draw(scenes, rng, nuisance))
    predicted = torch.cat([aesthetic.score(tower, head, part) for part in poor.split(250)]).numpy()
    return {
        "clip: near misses, drawn": round(float(right.mean()), 3),
        "clip: near misses, generated": round(float(np.mean(above)), 3),
        "clip: area within prompts": round(
            float(np.mean([area(similarity[:, i], truth[:, i]) for i in mixed])), 3
        ),
        "clip: prompts with both outcomes": len(mixed),
        "aesthetic: rank correlation, generated": round(
            float(spearmanr(judged.ravel(), quality.ravel()).statistic), 3
        ),
        "aesthetic: rank correlation, drawn": round(float(spearmanr(predicted, nuisance)[0]), 3),
    }


def look(images: torch.Tensor, prompts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Truth and quality (seeds, prompts) of images (seeds, prompts, 3, 32, 32)."""
    readings = [[read(image) for image in part.numpy()] for part in images]
    truth = [[judge(r, parse(p)).fulfilled for r, p in zip(row, prompts, strict=True)] for row in readings]
    return np.array(truth), np.array([[r.quality for r in row] for row in readings])


def main(weights: Path, seeds: int, steps: int, guidance: float) -> dict[str, Any]:
    """All figures."""
    prompts = suite()
    figures: dict[str, Any] = {"checker": checker()}
    pipe = pipeline(str(weights / "tiny"))

    rng = np.random.default_rng(102)
    scenes = [parse(prompt) for prompt in prompts]
    drawn = torch.from_numpy(draw(scenes, rng))
    with torch.no_grad():
        again = pipe.vae.decode(pipe.vae.encode(2 * drawn - 1).latent_dist.mean).sample / 2 + 0.5
    figures["autoencoder, clean scenes"] = shares(prompts, look(again.clamp(0, 1)[None], prompts)[0])

    images = torch.stack([generate(pipe, prompts, seed, steps, guidance) for seed in range(seeds)])
    truth, quality = look(images, prompts)
    figures[f"tiny, {steps} steps, guidance {guidance:g}"] = shares(prompts, truth)
    if (weights / "tiny-turbo").exists():
        fast = turbo(pipe, weights / "tiny-turbo" / "unet")
        single = torch.stack([generate(fast, prompts, seed, 1, 1.0) for seed in range(seeds)])
        figures["tiny-turbo, 1 step"] = shares(prompts, look(single, prompts)[0])
    if (weights / "clip_score").exists() and (weights / "aesthetic").exists():
        figures["rewards"] = rewards(weights, prompts, images, truth, quality)
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--guidance", type=float, default=3.0)
    options = parser.parse_args()
    print(json.dumps(main(options.weights, options.seeds, options.steps, options.guidance), indent=1))
