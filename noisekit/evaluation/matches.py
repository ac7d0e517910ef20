"""Two runs side by side: is what changed between them more than chance?

    d(prompt, seed) = score(second run) − score(first run)          the same model, method, prompt, seed and metric

What stands in one run only is counted and left out. One row a (model, method, metric), and Holm's family is all rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from noisekit.evaluation.intervals import estimate, mean_of_prompts
from noisekit.evaluation.significance import holm
from noisekit.evaluation.statistics import trimmed

KEYS = ["model", "method", "prompt", "seed"]
COLUMNS = [
    *("model", "method", "metric", "images", "prompts", "equal"),
    *("first", "second", "difference", "low", "high", "p", "p_holm"),
]


def matches(
    first: pd.DataFrame,
    second: pd.DataFrame,
    metrics: Sequence[str],
    ties: Mapping[str, float],
    shared: bool = False,
) -> pd.DataFrame:
    """Paired changes from the first frame to the second, each with one row an image; columns: `COLUMNS`.

    images: pairs. equal: share of pairs whose scores differ by at most the metric's tie, which is what rounding does where
    images were batched differently. first, second: means over the paired prompts, seeds averaged first. shared: whether in
    either run all prompts had the same noises.
    """
    both = first[[*KEYS, *metrics]].merge(second[[*KEYS, *metrics]], on=KEYS, suffixes=("_1", "_2"))
    rows = []
    for (model, method), own in both.groupby(["model", "method"], sort=False):
        for metric in metrics:
            one, two = (_grid(own, f"{metric}_{number}") for number in (1, 2))
            d = two - one
            there = ~np.isnan(d)
            if not there.any():
                continue
            found = estimate(trimmed(d), shared=shared)
            means = (mean_of_prompts(trimmed(np.where(there, scores, np.nan))) for scores in (one, two))
            about = (
                model,
                method,
                metric,
                int(there.sum()),
                int(there.any(1).sum()),
                float((np.abs(d[there]) <= ties[metric]).mean()),
            )
            rows.append((*about, *means, found.mean, *found.interval(), found.p))
    table = pd.DataFrame(rows, columns=COLUMNS[:-1])
    table["p_holm"] = holm(table["p"])
    return table


def unmatched(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """One row a (model, method): images in both frames, and in either alone; columns both, first, second."""
    counted = first[KEYS].merge(second[KEYS], on=KEYS, how="outer", indicator=True)
    names = {"both": "both", "left_only": "first", "right_only": "second"}
    counts = counted.groupby(["model", "method"], sort=False)["_merge"].value_counts().unstack(fill_value=0)
    return counts.rename(columns=names).reindex(columns=list(names.values()), fill_value=0).reset_index()


def _grid(own: pd.DataFrame, column: str) -> np.ndarray:
    """A column as (prompts, seeds)."""
    return own.pivot(index="prompt", columns="seed", values=column).to_numpy(float)
