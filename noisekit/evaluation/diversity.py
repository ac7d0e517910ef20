"""Diversity: how far apart the images of one prompt are across seeds.

    diversity(prompt) = mean over pairs of seeds i < j of 1 − e_i·e_j                       0 (all alike) … 2
    e = E_image(x), a unit vector: CLIPScore's embedding of the image

A mean over pairs does not depend on the number of seeds, and the difference to standard is taken over the pairs of seeds
that both have. Quality alone rewards a method that gives every seed the same good image.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from noisekit.evaluation.statistics import STANDARD, interval, mean_of_prompts

COLUMNS = ["model", "method", "prompt", "seeds", "diversity", "difference"]


def diversity(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per (model, method, prompt) of records with model, method, prompt, seeds and their distances.

    Columns: `COLUMNS`; seeds is their number, difference the one to standard over the pairs of seeds that both have (NaN
    where they share none, and for standard itself).
    """
    pairs = {(r["model"], r["method"], r["prompt"]): _by_pair(r["seeds"], r["distances"]) for r in records}
    rows = []
    for (model, method, prompt), own in pairs.items():
        standard = {} if method == STANDARD else pairs.get((model, STANDARD, prompt), {})
        both = [distance - standard[pair] for pair, distance in own.items() if pair in standard]
        seeds = len({seed for pair in own for seed in pair})
        means = np.mean(list(own.values())), np.mean(both) if both else np.nan
        rows.append((model, method, prompt, seeds, *means))
    return pd.DataFrame(rows, columns=COLUMNS)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row per (model, method) of `diversity`'s table, means over prompts with 95 % intervals over prompts.

    Columns: model, method, n_prompts, seeds (the most that a prompt has), diversity, diversity_difference, _low, _high.
    """
    rows = []
    for (model, method), group in table.groupby(["model", "method"], sort=False):
        d = group["difference"].dropna().to_numpy(float)[:, None]
        low, high = interval(d)
        rows.append(
            {
                "model": model,
                "method": method,
                "n_prompts": len(group),
                "seeds": group["seeds"].max(),
                "diversity": group["diversity"].mean(),
                "diversity_difference": mean_of_prompts(d),
                "diversity_low": low,
                "diversity_high": high,
            }
        )
    names = ["model", "method", "n_prompts", "seeds", "diversity"]
    return pd.DataFrame(
        rows, columns=[*names, *(f"diversity_{part}" for part in ("difference", "low", "high"))]
    )


def _by_pair(seeds: Sequence[int], distances: Sequence[float]) -> dict[tuple[int, int], float]:
    return dict(zip(combinations(sorted(seeds), 2), distances, strict=True))
