"""Which images of a comparison tell most, by a rule that no eye had a part in.

    d_k      = score_k(method) − score_k(standard)          the same model, prompt and seed
    z_k      = d_k / s_k, and 0 where |d_k| ≤ tie_k         s_k: root mean square of d_k over all images of the model
    size     = mean over k of z_k                           over the metrics k that the method did not optimise
    agreed   = no two of its z_k have opposite signs        all metrics that moved beyond their tie moved the same way

For each model the prompts with the largest agreed gains come first, then those with the largest agreed losses, then typical
ones, where all methods lie closest to their own medians of size: of each `EACH`, a prompt once, at the seed that shows it.
Where nothing was scored beside standard, the first prompts stand for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from noisekit.evaluation.intervals import Array
from noisekit.evaluation.statistics import STANDARD, grids
from noisekit.report.tables import Line

if TYPE_CHECKING:
    import pandas as pd

    from noisekit.metrics.info import MetricInfo

EACH = 3
RULE = (
    f"Chosen by a rule, not by eye: for each model the {EACH} prompts with the largest agreed gains of any method, the "
    f"{EACH} with the largest agreed losses, and {EACH} typical ones. A change is the mean over the metrics that the method "
    "did not climb, each in units of its own spread; it is agreed where no two of these metrics contradict each other. "
    "Typical is where all methods lie closest to their medians. Where nothing can be compared, the first ones are shown."
)

Reason = Literal["gain", "loss", "typical", "first"]


@dataclass(frozen=True)
class Telling:
    """Why a prompt at a seed is shown; label: the method that it is shown for, "" for typical and first ones."""

    prompt: str
    seed: int
    reason: Reason
    label: str


def telling(
    frame: pd.DataFrame, lines: Sequence[Line], infos: Mapping[str, MetricInfo], each: int = EACH
) -> list[Telling]:
    """Of one model's frame: gains, losses, typical ones; fewer where there are fewer.

    lines: of that model. infos: of the metrics that the lines compare.
    """
    metrics = list(infos)
    scores = grids(frame, metrics) if metrics else {}
    others = [line for line in lines if not line.is_standard and line.method in scores]
    if STANDARD not in scores or not others:
        return _begin(frame, each)
    sizes, agreed = _sizes(scores, others, [infos[name] for name in metrics])
    prompts = list(dict.fromkeys(frame["prompt"]))
    seeds = sorted(set(frame["seed"]))
    taken: set[int] = set()
    found: list[Telling] = []
    signed = np.where(agreed, sizes, 0.0)
    orders: list[tuple[Reason, Array]] = [
        ("gain", np.where(signed > 0, -signed, np.nan)),
        ("loss", np.where(signed < 0, signed, np.nan)),
        ("typical", _departures(sizes)),
    ]
    for reason, order in orders:
        for method, prompt, seed in _first(order, taken, each):
            label = "" if reason == "typical" else others[method].label
            found.append(Telling(prompts[prompt], int(seeds[seed]), reason, label))
    return found or _begin(frame, each)


def _begin(frame: pd.DataFrame, each: int) -> list[Telling]:
    """The first prompts, each at the first of its seeds."""
    first = frame.groupby("prompt", sort=False)["seed"].min().head(each)
    return [Telling(str(prompt), int(seed), "first", "") for prompt, seed in first.items()]


def _sizes(
    scores: Mapping[str, Array], others: Sequence[Line], infos: Sequence[MetricInfo]
) -> tuple[Array, np.ndarray]:
    """size (M, P, S), NaN where nothing is known, and whether it is agreed."""
    d = np.stack([scores[line.method] - scores[STANDARD] for line in others])
    known = ~np.isnan(d)
    spread = np.sqrt(np.nansum(d**2, axis=(0, 1, 2)) / np.maximum(known.sum((0, 1, 2)), 1))
    z = np.divide(d, spread, out=np.zeros_like(d), where=known & (spread > 0))
    z[np.abs(d) <= np.array([info.tie for info in infos])] = 0.0
    for number, line in enumerate(others):
        known[number][..., [line.comparisons[info.name].optimised for info in infos]] = False
    z[~known] = 0.0
    judges = known.sum(-1)
    sizes = np.divide(z.sum(-1), judges, out=np.full(judges.shape, np.nan), where=judges > 0)
    return sizes, ~np.asarray((z > 0).any(-1) & (z < 0).any(-1))


def _departures(sizes: Array) -> Array:
    """How far all methods together are from their medians, (1, P, S); NaN where one has no size."""
    medians = [np.median(own[~np.isnan(own)]) if not np.isnan(own).all() else np.nan for own in sizes]
    return np.abs(sizes - np.reshape(medians, (-1, 1, 1))).mean(axis=0, keepdims=True)


def _first(order: Array, taken: set[int], each: int) -> Iterator[tuple[int, int, int]]:
    """(method, prompt, seed) of the smallest of `order` (M, P, S), prompts that are `taken` and NaN left out."""
    left = each
    for place in np.argsort(order, axis=None, kind="stable"):
        method, prompt, seed = (int(one) for one in np.unravel_index(place, order.shape))
        if not left or np.isnan(order[method, prompt, seed]):
            return
        if prompt not in taken:
            taken.add(prompt)
            left -= 1
            yield method, prompt, seed
