"""clip_score's tiny CLIP: images and captions in one space, told apart down to a single word.

With unit embeddings u_i of images and w_j of captions and a learned scale s, the loss is the cross-entropy of
picking an image's own caption among those of the batch and its own near misses (captions that differ in one
word; for a generated image that failed, the prompt it was made for), and that of picking a caption's own
image among those of the batch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel

from noisekit.files import whole_folder
from noisekit.tiny.pictures import Pictures, both_outcomes, load_drawn, load_generated
from noisekit.tiny.recipe import Recipe
from noisekit.tiny.tokenizer import PAD, encode, tokenizer
from noisekit.tiny.towers import EMBEDDING, preprocess, save_preprocessing, text, vision
from noisekit.tiny.train import fit
from noisekit.tiny.workers import Crew, launch
from noisekit.world.grammar import near_misses, parse

BATCH = 64
RATE = 1e-3
MISSES = 3  # near misses per image


def network() -> CLIPModel:
    """An untrained CLIP of 0.5 M parameters."""
    config = CLIPConfig(
        text_config=text(2).to_dict(), vision_config=vision(3).to_dict(), projection_dim=EMBEDDING
    )
    return CLIPModel._from_config(config, attn_implementation="eager")


def embed_images(model: CLIPModel, images: torch.Tensor) -> torch.Tensor:
    """Unit vectors (n, D) of images in [0, 1]."""
    features = model.vision_model(pixel_values=preprocess(images)).pooler_output
    return F.normalize(model.visual_projection(features).float(), dim=-1)


def embed_captions(model: CLIPModel, ids: torch.Tensor) -> torch.Tensor:
    """Unit vectors (n, D) of token ids (n, L)."""
    features = model.text_model(input_ids=ids, attention_mask=(ids != PAD).long()).pooler_output
    return F.normalize(model.text_projection(features).float(), dim=-1)


def build(work: Path, out: Path, recipe: Recipe) -> None:
    """Trains the CLIP and writes it to OUT/clip_score."""
    if not (out / "clip_score" / "config.json").exists():
        launch(_train, recipe.workers, work, out, recipe)


def _train(crew: Crew, work: Path, out: Path, recipe: Recipe) -> None:
    torch.manual_seed(recipe.seed + 2)
    model, tokens = network(), tokenizer()
    model.train()
    drawn, generated = load_drawn(work, recipe), load_generated(work)
    told = [i for i, caption in enumerate(generated.captions) if caption]

    def pick(sources: Pictures, index: int, rng: np.random.Generator) -> tuple[np.ndarray, str, list[str]]:
        caption, prompt = sources.captions[index], sources.prompts[index]
        misses = list(rng.permutation(near_misses(parse(caption)))[:MISSES])
        if prompt != caption:
            misses[0] = prompt
        return sources.images[index], caption, misses

    def contrast(generator: torch.Generator) -> tuple[torch.Tensor, float]:
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
        chosen = [
            pick(generated, told[rng.integers(len(told))], rng)
            if told and rng.random() < 0.6
            else pick(drawn, int(rng.integers(len(drawn.images))), rng)
            for _ in range(BATCH)
        ]
        images = torch.from_numpy(np.stack([image for image, _, _ in chosen])).float() / 255
        noise = torch.randn(images.shape, generator=generator)
        images = images + noise * 0.06 * torch.rand(BATCH, 1, 1, 1, generator=generator)
        captions = [caption for _, caption, _ in chosen]
        ids = encode(tokens, captions + [miss for _, _, misses in chosen for miss in misses])
        with torch.autocast("cpu", torch.bfloat16):
            u, w = embed_images(model, images.clamp(0, 1)), embed_captions(model, ids)
        scale = model.logit_scale.exp().clamp(max=50)
        batch = scale * u @ w[:BATCH].T
        same = torch.tensor([[a == b for b in captions] for a in captions]).fill_diagonal_(False)
        batch = batch.masked_fill(same, -1e4)
        near = scale * torch.einsum("bd,bkd->bk", u, w[BATCH:].view(BATCH, MISSES, -1))
        target = torch.arange(BATCH)
        loss = F.cross_entropy(torch.cat([batch, near], 1), target) + F.cross_entropy(batch.T, target)
        right = (batch.diag()[:, None] > near).float().mean()
        return loss / 2, right.item()

    ranked = both_outcomes(generated)

    def rank(generator: torch.Generator) -> tuple[torch.Tensor, float]:
        value, _ = contrast(generator)
        if not ranked:
            return value, 0.0
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
        rows = [ranked[i] for i in rng.integers(len(ranked), size=BATCH // 2)]
        better = [int(rng.choice(good)) for _, good, _ in rows]
        worse = [int(rng.choice(bad)) for _, _, bad in rows]
        images = torch.from_numpy(generated.images[better + worse]).float() / 255
        with torch.autocast("cpu", torch.bfloat16):
            u = embed_images(model, images)
            w = embed_captions(model, encode(tokens, [prompt for prompt, _, _ in rows]))
        above, below = (u.view(2, -1, EMBEDDING) * w).sum(-1)
        scale = model.logit_scale.exp().clamp(max=50)
        return value + F.softplus(scale * (below - above)).mean(), (above > below).float().mean().item()

    fit(
        crew,
        list(model.parameters()),
        contrast,
        steps=recipe.clip_samples // (BATCH * crew.size),
        rate=RATE,
        seed=recipe.seed + 2,
        state=work / "clip.pt",
        title="clip",
        decay=0.8,
    )
    fit(
        crew,
        list(model.parameters()),
        rank,
        steps=recipe.rank_samples // (BATCH * crew.size),
        rate=RATE / 2,
        seed=recipe.seed + 4,
        state=work / "clip-rank.pt",
        title="clip, ranking",
        decay=0.8,
    )
    if crew.leads:
        with whole_folder(out / "clip_score") as folder:
            model.half().save_pretrained(folder)
            tokens.save_pretrained(folder)
            save_preprocessing(folder)
    crew.wait()
