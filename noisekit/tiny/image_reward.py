"""image_reward's tiny model: a transformer that reads prompt and image together and rates them, as people ranked them.

It learns from rankings of two kinds, with the loss  −log σ(r_i − r_j)  for every pair: of four images for one prompt,
by how much of the prompt they show and then by their quality; and of four captions for one image, by how many of their
words are right: its own, two with ever more words changed, and another image's. Afterwards mean and deviation of r over
generated pictures, with the prompts that they were made for, make its scores about standard normal.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from noisekit.files import whole_folder
from noisekit.rewards.image_reward import ImageRewardNetwork
from noisekit.tiny import rankings
from noisekit.tiny.pictures import load_generated
from noisekit.tiny.preferences import agreement, batch, preference
from noisekit.tiny.rankings import third
from noisekit.tiny.recipe import Recipe
from noisekit.tiny.tokenizer import BOS, EOS, LENGTH, PAD, VOCABULARY, encode, tokenizer
from noisekit.tiny.towers import WIDTH, preprocess, save_preprocessing
from noisekit.tiny.train import fit
from noisekit.tiny.workers import Crew, launch
from noisekit.world.grammar import near_misses, parse

BATCH = 16
MEMBERS = 4
RATE = 1e-3
SEED = 22
PART = 1  # of the generator's pictures
NORM = 4096  # pictures that mean and deviation are taken over

CONFIG: dict[str, Any] = {
    "vision": {
        "hidden_size": WIDTH,
        "intermediate_size": 3 * WIDTH,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "image_size": 32,
        "patch_size": 4,
        "layer_norm_eps": 1e-6,
        "initializer_range": 0.02,
    },
    "text": {
        "vocab_size": len(VOCABULARY),
        "hidden_size": WIDTH,
        "encoder_hidden_size": WIDTH,
        "intermediate_size": 3 * WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": LENGTH,
        "pad_token_id": PAD,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "sep_token_id": EOS,
    },
    "mlp": [32, 1],
}


def utility(alignment: Tensor, quality: Tensor) -> Tensor:
    """The rating behind a ranking, in logits: what is shown counts first, and quality where that is equal."""
    return 100 * alignment + 10 * quality


def build(work: Path, out: Path, recipe: Recipe) -> None:
    """Trains the network and writes it to OUT/image_reward."""
    if not (out / "image_reward" / "config.json").exists():
        path = work / "image_reward.npz"
        rankings.gather(path, work, out, recipe, k=MEMBERS, seed=SEED, part=PART)
        launch(_train, recipe.workers, work, out, recipe)


def rate(network: ImageRewardNetwork, tokens: Tensor, ids: Tensor) -> Tensor:
    """r (n,) of image tokens (n, N, W) and token ids (n, L), where the images are encoded already."""
    mask = (ids != PAD).long()
    read = network.text(input_ids=ids, attention_mask=mask, encoder_hidden_states=tokens).last_hidden_state
    return network.mlp(read[:, 0]).float().squeeze(-1)


def changed(caption: str, rng: np.random.Generator) -> list[str]:
    """The caption, one with a word changed, and one with two words changed, or the same one where one cannot."""
    once = str(rng.choice(near_misses(parse(caption))))
    near = {caption, *near_misses(parse(caption))}
    twice = [other for other in near_misses(parse(once)) if other not in near]
    return [caption, once, str(rng.choice(twice)) if twice else once]


def _train(crew: Crew, work: Path, out: Path, recipe: Recipe) -> None:
    torch.manual_seed(recipe.seed + SEED)
    network, tokens = ImageRewardNetwork(**CONFIG), tokenizer()
    network.train()
    ranked = rankings.load(work / "image_reward.npz")

    def loss(generator: torch.Generator) -> tuple[Tensor, float]:
        seen = batch(ranked, BATCH, generator, misses=0)
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
        known = torch.nonzero(seen.caption.flatten() >= 0)[:, 0]
        captions = [seen.texts[place] for place in seen.caption.flatten()[known]]
        others = [captions[i] for i in rng.permutation(len(captions))]
        rows = [[*changed(own, rng), other] for own, other in zip(captions, others, strict=True)]
        words_right = torch.tensor([[3.0, 2, 1 + (row[1] == row[2]), 3 * (row[3] == row[0])] for row in rows])
        ids = encode(tokens, [seen.texts[place] for place in seen.prompt])
        with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            images = network.vision(pixel_values=preprocess(seen.images.flatten(0, 1))).last_hidden_state
            scores = rate(network, images, ids.repeat_interleave(MEMBERS, 0))
            again = images[known].repeat_interleave(4, 0)
            told = rate(network, again, encode(tokens, [text for row in rows for text in row]))
        wanted = utility(seen.alignment, seen.quality)
        scores = scores.view(BATCH, MEMBERS)
        value = preference(scores, wanted) + preference(told.view(-1, 4), 20 * words_right)
        return value, agreement(scores, wanted)

    fit(
        crew,
        list(network.parameters()),
        loss,
        steps=recipe.image_reward_samples // (BATCH * MEMBERS * crew.size),
        rate=RATE,
        seed=recipe.seed + SEED,
        state=work / "image_reward.pt",
        title="image_reward",
        decay=0.8,
    )
    if crew.leads:
        with whole_folder(out / "image_reward") as folder:
            save(network.half().float(), work, folder)
    crew.wait()


@torch.no_grad()
def save(network: ImageRewardNetwork, work: Path, folder: Path) -> None:
    """Measures mean and deviation of r, and writes the folder."""
    network.eval()
    tokens, pictures = tokenizer(), third(load_generated(work), PART)
    images = torch.from_numpy(pictures.images[:NORM]).float() / 255
    r = torch.cat(
        [
            network(preprocess(part), ids, (ids != PAD).long())
            for part, ids in zip(
                images.split(256), encode(tokens, pictures.prompts[:NORM]).split(256), strict=True
            )
        ]
    )
    save_file(
        {name: value.half() for name, value in network.state_dict().items()}, folder / "model.safetensors"
    )
    tokens.save_pretrained(folder)
    save_preprocessing(folder)
    scale = {"mean": r.mean().item(), "std": r.std().item(), "length": LENGTH}
    (folder / "config.json").write_text(json.dumps(CONFIG | scale, indent=2) + "\n", encoding="utf-8")
