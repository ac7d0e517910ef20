"""Prompts drawn with replacement, and seeds as well where prompts share them: for figures without a formula, such as ranks.

    x*  = Σ_p n_p·x̄_p / P                        n_p: how often prompt p is among P draws, x̄_p its mean over seeds
    x** = Σ_ps n_p·k_s·x_ps / Σ_ps n_p·k_s       k_s: how often seed s is among S − 1 draws

All columns of x see the same draws, so that what is read off them is paired. One draw fewer than seeds gives means of few
seeds the variance that they have (Rao and Wu 1988, "Resampling inference with complex survey data"); prompts are many, and
for them the percentiles α are moved outwards to Φ(√(n/(n−1))·t_{n−1}(α)), which makes intervals as long as Student's where
the figure is normal (Hesterberg 2015, "What teachers should know about the bootstrap").
"""

from __future__ import annotations

import numpy as np

from noisekit.evaluation.intervals import Array

RESAMPLES = 2_000


def drawn_means(cells: Array, shared: bool = False, resamples: int = RESAMPLES) -> Array:
    """Means of cells (P, S, M) over drawn prompts, or over drawn prompts and seeds: (resamples, M), the same every time.

    A (prompt, seed) is NaN for all M or for none.
    """
    prompts, seeds, columns = cells.shape
    draw = np.random.default_rng(0)
    rows = draw.multinomial(prompts, np.full(prompts, 1 / prompts), resamples)
    if not shared:
        return np.asarray(rows @ np.nanmean(cells, axis=1) / prompts)
    across = draw.multinomial(max(1, seeds - 1), np.full(seeds, 1 / seeds), resamples)
    weights = (rows[:, :, None] * across[:, None] * ~np.isnan(cells[..., 0])).reshape(resamples, -1)
    there = weights.sum(1, keepdims=True)
    kept = there[:, 0] > 0  # a draw may miss every cell of a table with gaps
    return np.asarray((weights @ np.nan_to_num(cells).reshape(-1, columns) / np.maximum(there, 1))[kept])


def percentiles(prompts: int, level: float = 0.95) -> tuple[float, float]:
    """Where to read the distribution of figures drawn from some prompts for an interval: beyond (1 ± level) / 2."""
    from scipy.special import ndtr, stdtrit  # slow to import, and a listing needs no interval

    n = max(prompts, 2)
    low = float(ndtr(np.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 - level) / 2)))
    return low, 1 - low
