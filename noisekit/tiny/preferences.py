"""How the preference models learn: which of two images people prefer, and which caption is whose.

With scores s of the images of one prompt and utilities v of what an annotator sees in them, the share of annotators who
prefer image i to image j is  p = σ(v_i − v_j),  and the loss, averaged over the pairs of a ranking, is

    −p log σ(s_i − s_j) − (1 − p) log σ(s_j − s_i),

which for p = 1 is the Bradley–Terry loss of the published models, equal to a softmax over the two scores. Models with
one space for images and captions learn beside it to pick an image's caption among all texts of the batch, near misses
included, and a caption's image among the images that do not share it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from noisekit.tiny.rankings import Rankings
from noisekit.world.grammar import near_misses, parse

SCALE = 50.0  # the largest factor of a cosine, as in clip_score's training


@dataclass(frozen=True)
class Batch:
    """b rankings of k images. texts: all distinct prompts, captions and near misses of the captions.

    images (b, k, 3, 32, 32) in [0, 1]; alignment and quality (b, k); prompt (b,) and caption (b, k): places in texts, a
    caption's −1 where it is unknown.
    """

    images: Tensor
    alignment: Tensor
    quality: Tensor
    texts: list[str]
    prompt: Tensor
    caption: Tensor


def batch(rankings: Rankings, size: int, generator: torch.Generator, misses: int = 2) -> Batch:
    """`size` random rankings with a little noise on their pixels, and so many near misses of each known caption."""
    rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    rows = rng.integers(len(rankings.prompts), size=size)
    images = torch.from_numpy(rankings.images[rows]).float() / 255
    noise = torch.randn(images.shape, generator=generator)
    images = images + noise * 0.03 * torch.rand(size, 1, 1, 1, 1, generator=generator)
    captions = rankings.captions[rows].ravel().tolist()
    texts = [*rankings.prompts[rows].tolist(), *filter(None, captions)]
    for caption in dict.fromkeys(filter(None, captions)):
        texts += list(rng.permutation(near_misses(parse(caption)))[:misses])
    places = {text: place for place, text in enumerate(dict.fromkeys(map(str, texts)))}
    return Batch(
        images.clamp(0, 1),
        torch.from_numpy(rankings.alignment[rows]),
        torch.from_numpy(rankings.quality[rows]),
        list(places),
        torch.tensor([places[prompt] for prompt in rankings.prompts[rows]]),
        torch.tensor([places.get(caption, -1) for caption in captions]).view(size, -1),
    )


def preference(scores: Tensor, utility: Tensor) -> Tensor:
    """The mean loss over all pairs of each ranking; scores and utilities (b, k)."""
    i, j = torch.triu_indices(scores.shape[1], scores.shape[1], 1)
    chance = torch.sigmoid(utility[:, i] - utility[:, j])
    return F.binary_cross_entropy_with_logits(scores[:, i] - scores[:, j], chance)


def agreement(scores: Tensor, utility: Tensor) -> float:
    """The share of pairs with different utilities that the scores order alike."""
    i, j = torch.triu_indices(scores.shape[1], scores.shape[1], 1)
    wanted, given = utility[:, i] - utility[:, j], scores[:, i] - scores[:, j]
    return ((wanted > 0) == (given > 0))[wanted != 0].float().mean().item()


def contrast(drawn: Batch, images: Tensor, texts: Tensor, scale: Tensor) -> Tensor:
    """The loss of images' captions and captions' images; unit vectors of images (b, k, D) and texts (t, D)."""
    own = drawn.caption.flatten()
    known = own >= 0
    own, u = own[known], images.flatten(0, 1)[known]
    logits = scale * u @ texts.T
    same = (own[:, None] == own).fill_diagonal_(False)
    back = (logits[:, own].T).masked_fill(same, -1e4)
    return (F.cross_entropy(logits, own) + F.cross_entropy(back, torch.arange(len(own)))) / 2


def common_space(
    rankings: Rankings,
    size: int,
    embed_images: Callable[[Tensor], Tensor],
    embed_texts: Callable[[list[str]], Tensor],
    logit_scale: Tensor,
    utility: Callable[[Tensor, Tensor], Tensor],
) -> Callable[[torch.Generator], tuple[Tensor, float]]:
    """The loss of a model whose score is a scaled cosine, for `fit`, with the agreement as the figure to show.

    embed_images: (n, 3, 32, 32) in [0, 1] to unit vectors (n, D); embed_texts likewise; utility: of alignment and
    quality, both (b, k), in logits.
    """

    def loss(generator: torch.Generator) -> tuple[Tensor, float]:
        seen = batch(rankings, size, generator)
        with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            u = embed_images(seen.images.flatten(0, 1)).unflatten(0, (size, -1))
            w = embed_texts(seen.texts)
        scale = logit_scale.exp().clamp(max=SCALE)
        scores = scale * (u * w[seen.prompt][:, None]).sum(-1)
        wanted = utility(seen.alignment, seen.quality)
        return preference(scores, wanted) + contrast(seen, u, w, scale), agreement(scores, wanted)

    return loss
