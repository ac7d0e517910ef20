"""Stage I of NPNet: pairs of a noise and its golden noise, with what the metrics say of both images.

    x_T ~ N(0, I)        x′_T = invert(denoise(x_T; ω_l); ω_w)        over the first interval of the sampler's grid
    s_0 = metric(decode(sample(x_T)), c)        s_0′ = metric(decode(sample(x′_T)), c)

Zhou et al. 2024, "Golden Noise for Diffusion Models", arXiv 2411.09502: ω_l is the guidance of sampling, ω_w = 1; pairs with
s_0 + m < s_0′ by HPSv2 and m = 0 are kept. Here every pair is kept with its scores, so that training chooses the metric and
the margin. Published sizes: 100,000 pairs for SDXL at 10 steps.

That recipe for x′_T is one of several: whatever has the members of `Pairing` will do, such as a whole method (`ByMethod`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, get_args

import torch
from torch import Tensor
from tqdm.auto import tqdm

from noisekit.errors import BadValue
from noisekit.models.base import Marker, Model
from noisekit.noise import NoiseSource
from noisekit.npnet.pairs import Collection, Line, Shard, fingerprint, key
from noisekit.rewards import Reward
from noisekit.solvers.re_denoise import ReDenoise, re_denoise

#: Pairs in a shard: what an interruption can cost.
SHARD = 256


class Pairing(Protocol):
    """How x′_T comes from x_T. needs: what the model must be able to do."""

    needs: ClassVar[tuple[Marker, ...]]

    def about(self, model: Model) -> dict[str, Any]:
        """What decides x′_T besides the model and x_T, in JSON."""

    def better(self, model: Model, source: NoiseSource) -> Tensor:
        """x′_T (B, C, h, w) of x_T, the source's initial noise."""


@dataclass(frozen=True)
class Recipe:
    """Re-denoising. guidance: ω_l (None: the model's); inversion_guidance: ω_w."""

    needs: ClassVar[tuple[Marker, ...]] = (Marker.INVERTIBLE,)

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

    def about(self, model: Model) -> dict[str, Any]:
        return asdict(self) | {"guidance": model.card.guidance if self.guidance is None else self.guidance}

    def better(self, model: Model, source: NoiseSource) -> Tensor:
        return self.golden(model, source.prompts, source.initial)

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
    recipe: Pairing | None = None,
    metrics: Sequence[Reward] = (),
    shard: int = SHARD,
    half: bool = False,
    progress: bool = False,
) -> Collection:
    """Add the pairs of all prompts and seeds that a folder lacks, and the scores that its pairs lack.

    Args:
        model: whose noises are paired.
        prompts: each with every seed.
        seeds: of the noises.
        folder: of the collection, begun or gone on with.
        recipe: how a noise gets its better one (None: re-denoising as published).
        metrics: by what both images of a pair are scored.
        shard: pairs a file.
        half: whether noises and latents are kept in half precision, which training does not mind.
        progress: whether to show bars.

    Raises:
        NotSupported: for a model that lacks what the recipe needs.
        BadValue: for a folder of other pairs or other files.
    """
    recipe = recipe or Recipe()
    model.require("learn collect", recipe.needs)
    collection = Collection.prepare(folder, _about(model, recipe) | ({"half": True} if half else {}))
    done = {key(line["prompt"], line["seed"]) for part in collection.each() for line in part.lines}
    wanted = [(prompt, seed) for seed in seeds for prompt in prompts]
    missing = [pair for pair in wanted if key(*pair) not in done]
    with tqdm(
        total=len(wanted), initial=len(wanted) - len(missing), desc="pairs", disable=not progress
    ) as bar:
        for start in range(0, len(missing), shard):
            part = missing[start : start + shard]
            lines: list[Line] = [{"prompt": prompt, "seed": seed, "scores": {}} for prompt, seed in part]
            collection.add(lines, _sampled(model, recipe, part, half))
            bar.update(len(part))
    for written in tqdm(collection.each(), desc="scores", unit="shard", disable=not progress or not metrics):
        _score(model, written, metrics)
    return collection


def _about(model: Model, recipe: Pairing) -> dict[str, Any]:
    sampling = {"steps": model.card.steps, "sampling_guidance": model.card.guidance}
    return {"model": model.name, "model_id": fingerprint(model.identity)} | sampling | recipe.about(model)


@torch.no_grad()
def _sampled(
    model: Model, recipe: Pairing, pairs: Sequence[tuple[str, int]], half: bool
) -> dict[str, Tensor]:
    """The noises of some (prompt, seed), their better noises, and the clean latents from both."""
    prompts = [prompt for prompt, _ in pairs]
    source = NoiseSource(model.noise_shape, prompts, [seed for _, seed in pairs], device=model.device)
    ends = {"source": source.initial, "target": recipe.better(model, source)}
    conditioning = model.encode(prompts)
    latents = {
        f"{end}_latents": model.sample(noise, conditioning, source.sampler_generators())
        for end, noise in ends.items()
    }
    return {name: tensor.half() if half else tensor for name, tensor in (ends | latents).items()}


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
    images = {
        end: model.decode(tensors[f"{end}_latents"].to(model.device).float()) for end in ("source", "target")
    }
    for metric in lacking:
        judged = {end: metric.judge(pictures, prompts).tolist() for end, pictures in images.items()}
        for i, own in enumerate(scores):
            values = {end: judged[end][i] for end in ("source", "target")}
            ends = {end: value if math.isfinite(value) else None for end, value in values.items()}
            own[metric.name] = {"weights": fingerprint(metric.identity), "by": metric.weights, **ends}
    shard.add_scores(scores)


def scored_by(collection: Collection, metric: str) -> str:
    """By whose weights of a metric the pairs were scored: "tiny", "published", the name of a file; "" where nobody said."""
    lines = (line for shard in collection.each() for line in shard.lines)
    return " and ".join(
        sorted({str(s["by"]) for line in lines if "by" in (s := line["scores"].get(metric, {}))})
    )
