"""Stage I of NPNet: pairs of a noise and its golden noise, with what the metrics say of both images.

    x_T ~ N(0, I)        x′_T = invert(denoise(x_T; ω_l); ω_w)        over the first interval of the sampler's grid
    s_0 = metric(decode(sample(x_T)), c)        s_0′ = metric(decode(sample(x′_T)), c)

Zhou et al. 2024, "Golden Noise for Diffusion Models", arXiv 2411.09502: ω_l is the guidance of sampling, ω_w = 1; pairs with
s_0 + m < s_0′ by HPSv2 and m = 0 are kept. Here every pair is kept with its scores, so that training chooses the metric and
the margin. Published sizes: 100,000 pairs for SDXL at 10 steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor
from tqdm.auto import tqdm

from noisekit.errors import BadValue
from noisekit.models.base import Marker, Model
from noisekit.noise import NoiseSource
from noisekit.npnet.pairs import Collection, Line, Shard, fingerprint
from noisekit.rewards import Reward
from noisekit.solvers.re_denoise import ReDenoise, re_denoise

#: Pairs in a shard: what an interruption can cost.
SHARD = 256


@dataclass(frozen=True)
class Recipe:
    """How x′_T comes from x_T. guidance: ω_l (None: the model's); inversion_guidance: ω_w."""

    variant: ReDenoise = "paper"
    guidance: float | None = None
    inversion_guidance: float = 1.0

    def __post_init__(self) -> None:
        if self.variant not in get_args(ReDenoise):
            raise BadValue(f"variant={self.variant!r} is not one of {', '.join(get_args(ReDenoise))}")
        for name in ("guidance", "inversion_guidance"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1000:
                raise BadValue(f"{name}={value!r} is outside 0…1000")

    @torch.no_grad()
    def golden(self, model: Model, prompts: Sequence[str], noise: Tensor) -> Tensor:
        """x′_T (B, C, h, w) of x_T."""
        conditioning = model.encode(prompts)
        strong = model.card.guidance if self.guidance is None else self.guidance
        return re_denoise(
            lambda x, t: model.predict(x, t, conditioning, strong),
            lambda x, t: model.predict(x, t, conditioning, self.inversion_guidance),
            noise,
            model.sampler_grid(model.card.steps),
            self.variant,
        )


def collect(
    model: Model,
    prompts: Sequence[str],
    seeds: Sequence[int],
    folder: str | Path,
    *,
    recipe: Recipe | None = None,
    metrics: Sequence[Reward] = (),
    shard: int = SHARD,
    progress: bool = False,
) -> Collection:
    """Add the pairs of all prompts and seeds that a folder lacks, and the scores that its pairs lack.

    Args:
        model: whose noises are paired.
        prompts: each with every seed.
        seeds: of the noises.
        folder: of the collection, begun or gone on with.
        recipe: how a noise gets its better one (None: as published).
        metrics: by what both images of a pair are scored.
        shard: pairs a file.
        progress: whether to show bars.

    Raises:
        NotSupported: for a model that cannot be inverted.
        BadValue: for a folder of other pairs or other files.
    """
    model.require("npnet collect", (Marker.INVERTIBLE,))
    recipe = recipe or Recipe()
    collection = Collection.prepare(folder, _about(model, recipe))
    done = {(line["prompt"], line["seed"]) for part in collection.shards() for line in part.lines}
    wanted = [(prompt, seed) for seed in seeds for prompt in prompts]
    missing = [pair for pair in wanted if pair not in done]
    with tqdm(
        total=len(wanted), initial=len(wanted) - len(missing), desc="pairs", disable=not progress
    ) as bar:
        for start in range(0, len(missing), shard):
            part = missing[start : start + shard]
            lines: list[Line] = [{"prompt": prompt, "seed": seed, "scores": {}} for prompt, seed in part]
            collection.add(lines, _sampled(model, recipe, part))
            bar.update(len(part))
    for written in tqdm(
        collection.shards(), desc="scores", unit="shard", disable=not progress or not metrics
    ):
        _score(model, written, metrics)
    return collection


def _about(model: Model, recipe: Recipe) -> dict[str, Any]:
    how = asdict(recipe) | {"guidance": model.card.guidance if recipe.guidance is None else recipe.guidance}
    sampling = {"steps": model.card.steps, "sampling_guidance": model.card.guidance}
    return {"model": model.name, "model_id": fingerprint(model.identity)} | sampling | how


@torch.no_grad()
def _sampled(model: Model, recipe: Recipe, pairs: Sequence[tuple[str, int]]) -> dict[str, Tensor]:
    """The noises of some (prompt, seed), their golden noises, and the clean latents from both."""
    prompts = [prompt for prompt, _ in pairs]
    noises = NoiseSource(model.noise_shape, prompts, [seed for _, seed in pairs], device=model.device)
    golden = recipe.golden(model, prompts, noises.initial)
    conditioning = model.encode(prompts)
    latents = [
        model.sample(noise, conditioning, noises.sampler_generators()) for noise in (noises.initial, golden)
    ]
    return {
        "source": noises.initial,
        "target": golden,
        "source_latents": latents[0],
        "target_latents": latents[1],
    }


@torch.no_grad()
def _score(model: Model, shard: Shard, metrics: Sequence[Reward]) -> None:
    """Judge both images of every pair by the metrics that the shard lacks, and write the lines anew."""
    lacking = [
        metric
        for metric in metrics
        if any(
            line["scores"].get(metric.name, {}).get("weights") != fingerprint(metric.identity)
            for line in shard.lines
        )
    ]
    if not lacking:
        return
    tensors, prompts = shard.tensors(), [line["prompt"] for line in shard.lines]
    scores: list[dict[str, Any]] = [{} for _ in shard.lines]
    images = {end: model.decode(tensors[f"{end}_latents"].to(model.device)) for end in ("source", "target")}
    for metric in lacking:
        judged = {end: metric.judge(pictures, prompts).tolist() for end, pictures in images.items()}
        for i, own in enumerate(scores):
            values = {end: judged[end][i] for end in ("source", "target")}
            ends = {end: value if math.isfinite(value) else None for end, value in values.items()}
            own[metric.name] = {"weights": fingerprint(metric.identity), "by": metric.weights, **ends}
    shard.add_scores(scores)


def scored_by(collection: Collection, metric: str) -> str:
    """By whose weights of a metric the pairs were scored: "tiny", "published", the name of a file; "" where nobody said."""
    scores = [line["scores"].get(metric, {}) for shard in collection.shards() for line in shard.lines]
    return " and ".join(sorted({score["by"] for score in scores if "by" in score}))
