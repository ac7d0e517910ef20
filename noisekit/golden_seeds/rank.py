"""Ranking seeds: every seed of a pool on every calibration prompt, one metric, and how far the ranking can be trusted.

    scores.jsonl   one line an image: prompt id, seed, score; never rewritten, so that an interrupted ranking goes on
    about.json     what decides a score besides prompt and seed
    seeds.json     the ranking (`SeedRanking`), once the table is whole

The noise of a seed is the same for all prompts, so that a seed's mean is over prompts alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from noisekit.errors import BadValue
from noisekit.evaluation.reliability import split_half
from noisekit.evaluation.statistics import Array
from noisekit.files import kept, only_writer, write_json
from noisekit.golden_seeds.ranking import SeedRanking
from noisekit.hashing import plain
from noisekit.metrics import Evaluator
from noisekit.models import Model
from noisekit.noise import NoiseSource, published_noise
from noisekit.npnet.pairs import fingerprint
from noisekit.paths import given_path
from noisekit.prompts import Prompt, PromptSuite
from noisekit.store.lines import LineFile, read_lines

Cell = tuple[str, int]


def rank_seeds(
    model: Model,
    prompts: PromptSuite,
    pool: int,
    evaluator: Evaluator,
    folder: str | Path,
    *,
    batch: int | None = None,
    progress: bool = False,
) -> tuple[SeedRanking, Array]:
    """Score the seeds 0 … pool − 1 on all prompts, write the ranking into `folder`, return it with scores (prompts, seeds).

    evaluator: of one metric. batch: images made at once (None: the model card's). What the folder holds is not done again;
    raises `BadValue` where it holds scores of another model or metric, `Unwritable` on a full disk, or while another process
    writes to it.
    """
    if len(evaluator.metrics) != 1:
        raise BadValue(f"seeds are ranked by one metric, not by {', '.join(evaluator.metrics)}")
    if pool < 3 or len(prompts) < 2:
        raise BadValue(f"{len(prompts)} prompts × {pool} seeds are too few to rank; give 2 × 3 at least")
    (metric,) = evaluator.metrics.values()
    about = {"model_id": fingerprint(model.identity), "metric": metric.info.name}
    about |= {"metric_id": fingerprint(metric.identity)}
    path = given_path(folder)
    with kept(path), only_writer(path):
        _prepare(path, about)
        table = _table(model, prompts, pool, evaluator, path, batch or model.card.batch, progress)
        if np.isnan(table).any():
            raise BadValue(
                f"metric {metric.info.name!r} scores {int(np.isnan(table).sum())} of {table.size} images as nothing; "
                "choose another metric, or prompts that it can judge"
            )
        ranking = _ranking(model, prompts, table, about)
        ranking.write(path)
    return ranking, table


def _table(
    model: Model,
    prompts: PromptSuite,
    pool: int,
    evaluator: Evaluator,
    folder: Path,
    size: int,
    progress: bool,
) -> Array:
    """The scores (prompts, seeds), NaN where the metric cannot judge; what the folder lacks is made, `size` at once."""
    (metric,) = evaluator.metrics.values()
    scores = _scores(folder)
    wanted = [(prompt, seed) for seed in range(pool) for prompt in prompts]
    missing = [(prompt, seed) for prompt, seed in wanted if (prompt.id, seed) not in scores]
    with (
        closing(LineFile(folder / "scores.jsonl")) as file,
        tqdm(
            total=len(wanted), initial=len(wanted) - len(missing), desc="seeds", disable=not progress
        ) as bar,
    ):
        for start in range(0, len(missing), size):
            part = missing[start : start + size]
            judged = [prompt for prompt, _ in part]
            values = evaluator.scores(_images(model, part), judged)[metric.info.raw]
            found = dict(zip([(prompt.id, seed) for prompt, seed in part], values, strict=True))
            file.append(
                [plain({"prompt": key, "seed": seed, "score": score}) for (key, seed), score in found.items()]
            )
            scores |= found
            bar.update(len(part))
    return np.array([[scores[prompt.id, seed] for seed in range(pool)] for prompt in prompts], dtype=float)


def _ranking(model: Model, prompts: PromptSuite, table: Array, about: Mapping[str, str]) -> SeedRanking:
    means = table.mean(0)
    order = np.argsort(-means, kind="stable")
    return SeedRanking(
        model=model.label,
        model_id=about["model_id"],
        noise_shape=tuple(model.noise_shape),
        metric=about["metric"],
        metric_id=about["metric_id"],
        prompts={"name": prompts.name, "hash": prompts.hash, "count": len(prompts)},
        seeds=tuple(order.tolist()),
        scores=tuple(float(f"{means[seed]:.6g}") for seed in order),
        reliability={name: round(value, 4) for name, value in asdict(split_half(table)).items()},
        calls=model.sample_cost().calls * table.size,
    )


@torch.no_grad()
def _images(model: Model, cells: Sequence[tuple[Prompt, int]]) -> Tensor:
    texts, seeds = [prompt.text for prompt, _ in cells], [seed for _, seed in cells]
    noise = torch.cat([published_noise(seed, model.noise_shape) for seed in seeds]).to(model.device)
    random = NoiseSource(model.noise_shape, texts, seeds, "shared", model.device).sampler_generators()
    return model.decode(model.sample(noise, model.encode(texts), random))


def _prepare(folder: Path, about: Mapping[str, str]) -> None:
    """Begin a ranking, or go on with one."""
    file = folder / "about.json"
    if not file.exists():
        if any(other.name[0] != "." for other in folder.iterdir()):
            raise BadValue(f"folder {str(folder)!r} holds other files and no ranking; use an empty one")
        write_json(file, about)
    try:
        there = msgspec.json.decode(file.read_bytes(), type=dict[str, str])
    except (ValueError, RecursionError) as error:
        raise BadValue(
            f"{str(file)!r} does not say what a ranking is of ({error}); use another folder"
        ) from None
    if there != about:
        raise BadValue(
            f"folder {str(folder)!r} ranks seeds by {there.get('metric')!r} on another model or with another metric; use "
            "another folder"
        )


class _Score(msgspec.Struct, frozen=True):
    """The score of an image: None where the metric says nothing of it."""

    prompt: str
    seed: int
    score: float | None


def _scores(folder: Path) -> dict[Cell, float]:
    """The scores that are there, without a line that was cut off when its writer died."""
    file = folder / "scores.jsonl"
    lines = read_lines(file, _Score) if file.exists() else ()
    return {(line.prompt, line.seed): math.nan if line.score is None else line.score for line in lines}
