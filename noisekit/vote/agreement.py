"""Whether voters agree, with each other and with themselves.

    o_ck   = Σ over units of n_uc(n_uk − [c = k]) / (m_u − 1)         c beside k; n_uc votes of unit u said c
    n_c    = Σ_k o_ck,   n = Σ_c n_c
    δ²     = [c ≠ k] (nominal);  (Σ_{g = c…k} n_g − (n_c + n_k)/2)² (ordinal)
    α      = 1 − (n − 1)·Σ o_ck δ²_ck / Σ n_c n_k δ²_ck               1: all agree, 0: as by chance, below: worse than chance

(Krippendorff 2004, "Content analysis", chapter 11.) A unit is a pair of images and a question; units with a single vote say
nothing of agreement, and votes may be missing anywhere. Which image of a pair is the first is nobody's finding, so pairs
are mirrored: o counts each in both orders, by halves, and chance prefers neither. Intervals are percentiles over drawn
prompts, and drawn seeds where prompts share their noises (`evaluation.bootstrap`). A voter who is shown a pair again, some
of the time with its sides swapped, agrees with himself where both answers mean the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from noisekit.evaluation.bootstrap import drawn_means, percentiles
from noisekit.evaluation.intervals import SEEDS, Array

Level = Literal["nominal", "ordinal"]


def alpha(counts: Array, level: Level = "nominal", mirror: Sequence[int] | None = None) -> float:
    """α of counts (units, values): how many votes of each unit said what; values in their order, if they have one.

    mirror: the places of the values when the images of a pair change places (None: units have no order). NaN where no unit
    has two votes, or all votes say the same.
    """
    return float(_alpha(_mirrored(_coincidences(counts), mirror).sum(0)[None], level)[0])


def alpha_interval(
    counts: Array,
    prompts: pd.Series | Array,
    level: Level = "nominal",
    mirror: Sequence[int] | None = None,
    seeds: pd.Series | Array | None = None,
) -> tuple[float, float]:
    """The 95 % interval of α, over the drawn prompts of the units; NaN with fewer than two prompts.

    seeds: of the units, drawn too, where all prompts had the same noises; NaN with fewer than `SEEDS` of them.
    """
    prompt, names = pd.factorize(prompts)
    seed = np.zeros(len(prompt), int) if seeds is None else pd.factorize(seeds)[0]
    number, values, kinds = len(names), counts.shape[1], int(seed.max(initial=-1)) + 1
    if number < 2 or (seeds is not None and kinds < SEEDS):
        return np.nan, np.nan
    cells = np.zeros((number, kinds, values * values))
    np.add.at(cells, (prompt, seed), _mirrored(_coincidences(counts), mirror).reshape(len(prompt), -1))
    means = drawn_means(cells, shared=seeds is not None)
    drawn = _alpha(means.reshape(-1, values, values) * cells[..., 0].size, level)
    known = drawn[~np.isnan(drawn)]
    low, high = np.quantile(known, percentiles(number)) if len(known) else (np.nan, np.nan)
    return float(low), float(high)


def _coincidences(counts: Array) -> Array:
    """o of each unit, (units, values, values); 0 where it has a single vote."""
    votes = counts.sum(1)
    pairs = counts[:, :, None] * counts[:, None] - counts[:, :, None] * np.eye(counts.shape[1])
    return np.asarray(pairs / np.maximum(votes - 1, 1)[:, None, None])


def _mirrored(o: Array, mirror: Sequence[int] | None) -> Array:
    """o in both orders, by halves."""
    return o if mirror is None else (o + o[:, mirror][:, :, mirror]) / 2


def _alpha(o: Array, level: Level) -> Array:
    """α of coincidences (R, values, values)."""
    n = o.sum(-1)
    apart = _distances(n, level)
    observed, expected = (o * apart).sum((-2, -1)), (n[:, :, None] * n[:, None] * apart).sum((-2, -1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(1 - (n.sum(-1) - 1) * observed / expected)


def _distances(n: Array, level: Level) -> Array:
    """δ² by the margins n (R, values)."""
    values = n.shape[-1]
    if level == "nominal":
        return np.broadcast_to(1 - np.eye(values), (*n.shape, values))
    middle = np.cumsum(n, -1) - n / 2  # votes below a value, and half of its own
    return np.asarray((middle[:, :, None] - middle[:, None]) ** 2)
