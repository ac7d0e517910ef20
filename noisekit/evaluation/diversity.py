"""Diversity: how far apart the images of one prompt are across seeds.

    diversity(prompt) = mean over pairs of seeds i < j of 1 − e_i·e_j                       0 (all alike) … 2
    e = E_image(x), a unit vector: CLIPScore's embedding of the image

A mean over pairs does not depend on the number of seeds, and the difference to standard is taken over the pairs of seeds
that both have. Quality alone rewards a method that gives every seed the same good image.

The interval of the mean difference is over prompts. Where all prompts had the same noises it is over seeds too: a seed is in
S − 1 pairs of every prompt, which its pseudo-values tell apart (Tukey 1958; they are conservative: Efron and Stein 1981),

    v_s = S·U − (S − 1)·U_{−s}        U, U_{−s}: the mean over all pairs, and over those without seed s; mean of v_s = U

so that v (prompts, seeds) goes where differences of images do (`noisekit.evaluation.intervals`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from noisekit.evaluation.intervals import SEEDS, Array, interval
from noisekit.evaluation.statistics import STANDARD

#: Two seeds of a prompt.
Pair = tuple[int, int]
COLUMNS = ["model", "method", "prompt", "seeds", "diversity", "difference"]


def diversity(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per (model, method, prompt) of records with model, method, prompt, seeds and their distances.

    Columns: `COLUMNS`; seeds is their number, difference the one to standard over the pairs of seeds that both have (NaN
    where they share none, and for standard itself).
    """
    rows = []
    for (model, method, prompt), own, both in _compared(records):
        seeds = len({seed for pair in own for seed in pair})
        means = np.mean(list(own.values())), np.mean(list(both.values())) if both else np.nan
        rows.append((model, method, prompt, seeds, *means))
    return pd.DataFrame(rows, columns=COLUMNS)


def summary(records: Iterable[Mapping[str, Any]], shared: bool = False) -> pd.DataFrame:
    """One row per (model, method) of the same records, means over prompts with 95 % intervals.

    Columns: model, method, n_prompts, seeds (the most that a prompt has), diversity, diversity_difference, _low, _high.
    shared: whether all prompts had the same noises; intervals are over seeds too then, and take four of them.
    """
    listed, rows = list(records), []
    differences: dict[tuple[str, str], list[Mapping[Pair, float]]] = {}
    for (one, other, _), _, both in _compared(listed):
        differences.setdefault((one, other), []).append(both)
    for (model, method), group in diversity(listed).groupby(["model", "method"], sort=False):
        own = [both for both in differences[str(model), str(method)] if both]
        low, high = interval(_cells(own, shared), shared=shared)
        rows.append(
            {
                "model": model,
                "method": method,
                "n_prompts": len(group),
                "seeds": group["seeds"].max(),
                "diversity": group["diversity"].mean(),
                "diversity_difference": group["difference"].mean(),
                "diversity_low": low,
                "diversity_high": high,
            }
        )
    names = ["model", "method", "n_prompts", "seeds", "diversity"]
    return pd.DataFrame(
        rows, columns=[*names, *(f"diversity_{part}" for part in ("difference", "low", "high"))]
    )


def _compared(
    records: Iterable[Mapping[str, Any]],
) -> Iterator[tuple[tuple[str, str, str], Mapping[Pair, float], Mapping[Pair, float]]]:
    """Model, method and prompt, with the distance of every pair of seeds, and its difference to standard where both are."""
    pairs = {(r["model"], r["method"], r["prompt"]): _by_pair(r["seeds"], r["distances"]) for r in records}
    for (model, method, prompt), own in pairs.items():
        standard = {} if method == STANDARD else pairs.get((model, STANDARD, prompt), {})
        yield (
            (model, method, prompt),
            own,
            {pair: distance - standard[pair] for pair, distance in own.items() if pair in standard},
        )


def _cells(prompts: Sequence[Mapping[Pair, float]], shared: bool) -> Array:
    """What the interval of the mean difference is made of: means (P, 1), or pseudo-values (P, S), NaN without a seed."""
    means = [np.mean(list(own.values())) for own in prompts]
    seeds = sorted({seed for own in prompts for pair in own for seed in pair})
    if not shared or len(seeds) < SEEDS:
        return np.array(means, dtype=float)[:, None]
    cells = np.full((len(prompts), len(seeds)), np.nan)
    for own, mean, cell in zip(prompts, means, cells, strict=True):
        there = {seed for pair in own for seed in pair}
        for i, seed in enumerate(seeds):
            without = [distance for pair, distance in own.items() if seed not in pair]
            if seed in there and without:
                cell[i] = len(there) * mean - (len(there) - 1) * np.mean(without)
    return cells


def _by_pair(seeds: Sequence[int], distances: Sequence[float]) -> dict[tuple[int, int], float]:
    return dict(zip(combinations(sorted(seeds), 2), distances, strict=True))
