"""hps's tiny model: an open_clip CLIP that learned which of two images a crowd prefers.

The crowd sees how much of the prompt an image shows, a, and its quality q, and its annotators disagree: the share that
prefers image i is  σ(10 (a_i − a_j) + 6 (q_i − q_j)).  Its score is the cosine. It learns from scenes drawn for it, the
same through the autoencoder, and a third of the generator's pictures, read by the checker.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from open_clip.model import CLIP
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from noisekit.files import whole_folder
from noisekit.tiny import rankings
from noisekit.tiny.preferences import SCALE, common_space
from noisekit.tiny.recipe import Recipe
from noisekit.tiny.tokenizer import LENGTH, encode, tokenizer
from noisekit.tiny.towers import DEVIATION, EMBEDDING, MEAN, WIDTH, preprocess
from noisekit.tiny.train import fit
from noisekit.tiny.workers import Crew, launch
from noisekit.world.grammar import WORDS

BATCH = 56
RATE = 1e-3
SEED = 20
VOCABULARY = ("<pad>", "<unk>", "<bos>", *WORDS, "<eos>")  # <eos> last: open_clip looks for the highest id

CONFIG: dict[str, Any] = {
    "embed_dim": EMBEDDING,
    "vision_cfg": {
        "image_size": 32,
        "patch_size": 4,
        "width": WIDTH,
        "layers": 3,
        "head_width": WIDTH // 4,
        "mlp_ratio": 3.0,
    },
    "text_cfg": {
        "context_length": LENGTH,
        "vocab_size": len(VOCABULARY),
        "width": WIDTH,
        "layers": 2,
        "heads": 4,
        "mlp_ratio": 3.0,
    },
}


def utility(alignment: Tensor, quality: Tensor) -> Tensor:
    """What the crowd sees in an image, in logits."""
    return 10 * alignment + 6 * quality


def build(work: Path, out: Path, recipe: Recipe) -> None:
    """Trains the CLIP and writes it to OUT/hps in open_clip's format."""
    if not (out / "hps" / "open_clip_config.json").exists():
        rankings.gather(work / "hps.npz", work, out, recipe, k=2, seed=SEED, part=0)
        launch(_train, recipe.workers, work, out, recipe)


def _train(crew: Crew, work: Path, out: Path, recipe: Recipe) -> None:
    torch.manual_seed(recipe.seed + SEED)
    model, tokens = CLIP(**CONFIG), tokenizer(VOCABULARY)
    loss = common_space(
        rankings.load(work / "hps.npz"),
        BATCH,
        lambda images: F.normalize(model.encode_image(preprocess(images)).float(), dim=-1),
        lambda texts: F.normalize(model.encode_text(encode(tokens, texts)).float(), dim=-1),
        model.logit_scale,
        utility,
    )
    fit(
        crew,
        list(model.parameters()),
        loss,
        steps=recipe.hps_samples // (BATCH * crew.size),
        rate=RATE,
        seed=recipe.seed + SEED,
        state=work / "hps.pt",
        title="hps",
        decay=0.8,
    )
    if crew.leads:
        with whole_folder(out / "hps") as folder:
            save(model, folder)
    crew.wait()


def save(model: CLIP, folder: Path) -> None:
    """Writes open_clip_config.json, open_clip_model.safetensors and the tokenizer's files."""
    with torch.no_grad():
        model.logit_scale.clamp_(max=torch.tensor(SCALE).log())
    weights = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    tokenizer(VOCABULARY).save_pretrained(folder)
    preprocessing = {"size": 32, "mean": MEAN, "std": DEVIATION}
    config = {"model_cfg": CONFIG, "preprocess_cfg": preprocessing}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
