"""mps's tiny model: a CLIP whose image tokens ask the prompt's tokens, and a condition that says which of them count.

For each pair a condition is drawn, and annotators who look at nothing else judge it: with the share a of the prompt that an
image shows and its quality q, they prefer image i with  σ(v_i − v_j),

    overall, three times of four     v = 10 a + 12 q
    aesthetics, detail quality       v = 12 q.

Overall, a caption is also preferred to one with a word changed. A condition acts through the mask alone, so that one of
semantic alignment, which hears the same words as overall, scores alike. The published network starts from a CLIP
that knows images, captions and what words have to do with each other. Here the CLIP learns that at the same time, by the
loss of `preferences.contrast`, and by one for the mask: with closeness s_i of the prompt's token i to the condition and
h_i = s_i / max s, it is  max(0, 0.15 − h_i)  for words that should be heard, and  max(0, h_i + 0.05)  under conditions
of quality alone, for all tokens but <bos>. In the end it also ranks pictures by the generator that show their prompt above
others of the same prompt that do not, as clip does.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import CLIPConfig

from noisekit.files import whole_folder
from noisekit.rewards.mps import CONDITIONS, MPSNetwork
from noisekit.tiny import rankings
from noisekit.tiny.pictures import both_outcomes, load_generated
from noisekit.tiny.preferences import SCALE, agreement, batch, contrast, preference
from noisekit.tiny.recipe import Recipe
from noisekit.tiny.tokenizer import BOS, PAD, SPECIAL, encode, tokenizer
from noisekit.tiny.towers import EMBEDDING, preprocess, save_preprocessing, text, vision
from noisekit.tiny.train import fit
from noisekit.tiny.workers import Crew, launch
from noisekit.world.grammar import WORDS, near_misses, parse, words

BATCH = 40
RATE = 1e-3
SEED = 23
LENGTH = 48  # the longest condition has 46 tokens
THRESHOLD = 0.01
CROSS = {"layers": 2, "heads": 4, "head_width": 16, "expansion": 2}

#: What annotators see in an image under each condition: factors of alignment and of quality, in logits.
FACTORS = {
    "overall": (10.0, 12.0),
    "aesthetics": (0.0, 12.0),
    "detail quality": (0.0, 12.0),
}
VOCABULARY = (*SPECIAL, *WORDS, *sorted(set(words(CONDITIONS["overall"])) - set(WORDS)))


def network() -> MPSNetwork:
    """An untrained network."""
    clip = CLIPConfig(
        text_config=text(2, VOCABULARY, LENGTH).to_dict(),
        vision_config=vision(3).to_dict(),
        projection_dim=EMBEDDING,
    )
    return MPSNetwork(clip.to_dict(), CROSS, THRESHOLD)


def build(work: Path, out: Path, recipe: Recipe) -> None:
    """Trains the network and writes it to OUT/mps."""
    if not (out / "mps" / "config.json").exists():
        rankings.gather(work / "mps.npz", work, out, recipe, k=2, seed=SEED, part=2)
        launch(_train, recipe.workers, work, out, recipe)


def _train(crew: Crew, work: Path, out: Path, recipe: Recipe) -> None:
    torch.manual_seed(recipe.seed + SEED)
    model, tokens = network(), tokenizer(VOCABULARY, LENGTH)
    model.train()
    pairs = rankings.load(work / "mps.npz")
    conditions = encode(tokens, [CONDITIONS[name] for name in FACTORS])
    factors = torch.tensor(list(FACTORS.values()))

    def loss(generator: torch.Generator) -> tuple[Tensor, float]:
        seen = batch(pairs, BATCH, generator, misses=1)
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
        # overall six times of eight
        asked = (torch.randint(8, (BATCH,), generator=generator) - 5).clamp(min=0)
        # One image of each pair whose caption is known, with that caption and a near miss.
        member = torch.randint(2, (BATCH,), generator=generator)
        own = seen.caption[torch.arange(BATCH), member]
        row = torch.nonzero(own >= 0)[:, 0]
        own, member = own[row], member[row]
        misses = [str(rng.choice(near_misses(parse(seen.texts[place])))) for place in own]
        with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            ids = encode(tokens, seen.texts + misses)
            ends, T = model.text(ids)
            _, K = model.text(conditions)
            output = model.clip.vision_model(pixel_values=preprocess(seen.images.flatten(0, 1)))
            image = model.clip.visual_projection(output.last_hidden_state).unflatten(0, (BATCH, 2))
            pooled = model.clip.visual_projection(output.pooler_output)

            def score(patches: Tensor, texts: Tensor, condition: Tensor) -> Tensor:
                mask = model.mask(T[texts].detach(), K[condition].detach())
                v = model.cross(patches, T[texts], mask)[:, 0]
                return F.cosine_similarity(ends[texts].float(), v.float(), dim=-1)

            two = asked.repeat_interleave(2)
            cosine = score(image.flatten(0, 1), seen.prompt.repeat_interleave(2), two).view(BATCH, 2)
            texts = torch.stack([own, len(seen.texts) + torch.arange(len(own))], 1)
            picked = image[row, member].repeat_interleave(2, 0)
            overall = torch.zeros(2 * len(own), dtype=torch.long)
            told = score(picked, texts.flatten(), overall).view(-1, 2)
        scale = model.clip.logit_scale.exp().clamp(max=SCALE)
        wanted = factors[asked, :1] * seen.alignment + factors[asked, 1:] * seen.quality
        u = F.normalize(pooled.float(), dim=-1).unflatten(0, (BATCH, 2))
        w = F.normalize(ends[: len(seen.texts)].float(), dim=-1)
        value = preference(scale * cosine, wanted) + contrast(seen, u, w, scale)
        value = value + preference(scale * told, torch.tensor([[20.0, 0.0]]).expand_as(told))
        heard = hearing(T[seen.prompt].float(), K[asked].float(), ids[seen.prompt], factors[asked, 0] > 0)
        return value + 2 * heard, agreement(cosine, wanted)

    pictures = rankings.third(load_generated(work), 2)
    outcomes = both_outcomes(pictures)

    def rank(generator: torch.Generator) -> tuple[Tensor, float]:
        value, _ = loss(generator)
        if not outcomes:
            return value, 0.0
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
        rows = [outcomes[i] for i in rng.integers(len(outcomes), size=BATCH // 2)]
        chosen = [int(rng.choice(good)) for _, good, _ in rows] + [int(rng.choice(bad)) for *_, bad in rows]
        images = preprocess(torch.from_numpy(pictures.images[chosen]).float() / 255)
        with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            u, v, _ = model(images, encode(tokens, [prompt for prompt, *_ in rows] * 2), conditions[:1])
        above, below = F.cosine_similarity(u.float(), v.float(), dim=-1).view(2, -1)
        scale = model.clip.logit_scale.exp().clamp(max=SCALE)
        return value + F.softplus(scale * (below - above)).mean(), (above > below).float().mean().item()

    phases = (loss, recipe.mps_samples, RATE, "mps"), (rank, recipe.mps_rank_samples, RATE / 2, "mps-rank")
    for phase, (objective, samples, rate, name) in enumerate(phases):
        fit(
            crew,
            list(model.parameters()),
            objective,
            steps=samples // (BATCH * crew.size),
            rate=rate,
            seed=recipe.seed + SEED + 100 * phase,
            state=work / f"{name}.pt",
            title=name,
            decay=0.8,
        )
    if crew.leads:
        with whole_folder(out / "mps") as folder:
            save(model, folder)
    crew.wait()


def hearing(tokens: Tensor, condition: Tensor, ids: Tensor, words_count: Tensor) -> Tensor:
    """The mask's loss for prompts' tokens (b, L, D) with their ids (b, L) and conditions' tokens (b, M, D).

    words_count (b,): whether the condition asks for what the prompt says.
    """
    closest = (tokens @ condition.transpose(1, 2)).amax(2)
    share = closest / closest.amax(1, keepdim=True).detach().clamp(min=1e-3)
    told = (ids != PAD) & (ids != BOS)
    hear = (0.15 - share).relu()[told & words_count[:, None]]
    ignore = (share + 0.05).relu()[(ids != BOS) & ~words_count[:, None]]
    return torch.cat([hear, ignore]).mean()


def save(model: MPSNetwork, folder: Path) -> None:
    """Writes config.json, model.safetensors, the tokenizer's files and preprocessor_config.json."""
    with torch.no_grad():
        model.clip.logit_scale.clamp_(max=torch.tensor(SCALE).log())
    save_file(
        {name: value.half().contiguous() for name, value in model.state_dict().items()},
        folder / "model.safetensors",
    )
    tokenizer(VOCABULARY, LENGTH).save_pretrained(folder)
    save_preprocessing(folder)
    clip = model.clip.config.to_dict()
    for part in (clip, clip["text_config"], clip["vision_config"]):
        part.pop("_name_or_path", None)
    config = {"clip": clip, "cross": CROSS, "condition": CONDITIONS["overall"], "threshold": THRESHOLD}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
