"""pick_score's tiny model: a CLIP that learned which of two images people pick, with no verdict of the checker.

The better image of a pair is known by construction: of two drawn with the same layout, the one that shows the prompt
rather than a prompt that differs in a word, or the one of higher quality; and of two pictures by the generator, the one
that was made for the prompt, whether it shows it or not. So pick_score owes nothing to the checker that says what is
true, and can bear witness beside it. The score is  exp(s) cos.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from transformers import CLIPConfig, CLIPModel

from noisekit.files import whole_folder
from noisekit.tiny import rankings
from noisekit.tiny.clip import embed_captions, embed_images
from noisekit.tiny.preferences import SCALE, common_space
from noisekit.tiny.recipe import Recipe
from noisekit.tiny.tokenizer import encode, tokenizer
from noisekit.tiny.towers import EMBEDDING, save_preprocessing, text, vision
from noisekit.tiny.train import fit
from noisekit.tiny.workers import Crew, launch

BATCH = 56
RATE = 1e-3
SEED = 21


def utility(alignment: Tensor, quality: Tensor) -> Tensor:
    """Nobody disagrees: far apart, in logits, wherever the images differ."""
    return 100 * alignment + 50 * quality


def build(work: Path, out: Path, recipe: Recipe) -> None:
    """Trains the CLIP and writes it to OUT/pick_score."""
    if not (out / "pick_score" / "config.json").exists():
        rankings.gather(work / "pick_score.npz", work, out, recipe, k=2, seed=SEED, part=None)
        launch(_train, recipe.workers, work, out, recipe)


def _train(crew: Crew, work: Path, out: Path, recipe: Recipe) -> None:
    torch.manual_seed(recipe.seed + SEED)
    config = CLIPConfig(
        text_config=text(2).to_dict(), vision_config=vision(3).to_dict(), projection_dim=EMBEDDING
    )
    model, tokens = CLIPModel._from_config(config, attn_implementation="eager"), tokenizer()
    model.train()
    loss = common_space(
        rankings.load(work / "pick_score.npz"),
        BATCH,
        lambda images: embed_images(model, images),
        lambda texts: embed_captions(model, encode(tokens, texts)),
        model.logit_scale,
        utility,
    )
    fit(
        crew,
        list(model.parameters()),
        loss,
        steps=recipe.pick_score_samples // (BATCH * crew.size),
        rate=RATE,
        seed=recipe.seed + SEED,
        state=work / "pick_score.pt",
        title="pick_score",
        decay=0.8,
    )
    if crew.leads:
        with torch.no_grad():
            model.logit_scale.clamp_(max=torch.tensor(SCALE).log())
        with whole_folder(out / "pick_score") as folder:
            model.half().save_pretrained(folder)
            tokens.save_pretrained(folder)
            save_preprocessing(folder)
    crew.wait()
