"""Which differences are real: paired differences against the standard image, with intervals clustered by prompt.

    d(prompt, seed) = score(method) − score(standard)       the same model, prompt and seed
    d(prompt)       = mean over seeds                        the difference is their mean over prompts
    interval        = percentiles of the mean of prompts drawn with replacement

Images of one prompt are alike, so prompts are what is resampled. When all prompts share one noise per seed, images of one
seed are alike too: prompts and seeds are then drawn independently (Owen 2007, "The pigeonhole bootstrap"), which says
nothing about seeds when there is one only.

Percentile intervals of few prompts are too short. The percentiles α are moved outwards to Φ(√(n/(n−1))·t_{n−1}(α)), which
makes them as long as Student's where the differences are normal (Hesterberg 2015, "What teachers should know about the
bootstrap").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

STANDARD = "standard"
RESAMPLES = 10_000


def summary(
    frame: pd.DataFrame, metrics: Sequence[str], ties: Mapping[str, float] | None = None, shared: bool = False
) -> pd.DataFrame:
    """One row per (model, method) of a frame with one row an image.

    Columns: model, method, n_images, n_prompts; for each metric its mean over prompts, and against standard
    <metric>_difference, _low and _high (95 % interval), _win, _tie and _loss (fractions of (prompt, seed), equal within
    the metric's tie tolerance); calls and seconds per image. NaN where standard is compared with itself or nothing was
    scored. shared: whether all prompts had the same noises.
    """
    rows = []
    for (model, method), group in frame.groupby(["model", "method"], sort=False):
        row: dict[str, object] = {"model": model, "method": method}
        row |= {"n_images": len(group), "n_prompts": group["prompt"].nunique()}
        standard = frame[(frame["model"] == model) & (frame["method"] == STANDARD)]
        for metric in metrics:
            row[metric] = prompt_mean(group, metric)
            d = np.empty((0, 0)) if method == STANDARD else differences(group, standard, metric)
            low, high = interval(d, shared=shared)
            row |= {f"{metric}_difference": mean_of_prompts(d), f"{metric}_low": low, f"{metric}_high": high}
            row |= win_tie_loss(d, metric, (ties or {}).get(metric, 0.0))
        rows.append(row | {"calls": group["calls"].mean(), "seconds": group["seconds"].mean()})
    table = pd.DataFrame(rows)
    standard_first = table["method"].ne(STANDARD)
    models = pd.Categorical(table["model"], categories=table["model"].unique())
    return table.iloc[np.lexsort((standard_first, models.codes))].reset_index(drop=True)


def breakdown(frame: pd.DataFrame, metric: str, by: str) -> pd.DataFrame:
    """Mean of a metric per (model, method, group), such as truth by "kind" or by "unseen": n_images, <metric>."""
    groups = frame.dropna(subset=[by, metric]).groupby(["model", "method", by], sort=False)[metric]
    return groups.agg(["size", "mean"]).set_axis(["n_images", metric], axis=1).reset_index()


def correlations(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Rank correlation of each pair of columns over the images of a frame, −1 … 1, within prompts.

    Spearman's ρ of the scores less their mean over the images of the same model and prompt: prompts differ in level on
    every metric for reasons of its own, and methods are compared on one prompt. NaN where either is constant or unknown.
    """
    scores = frame[list(columns)].astype(float)
    centred = scores - scores.groupby([frame["model"], frame["prompt"]]).transform("mean")
    # Means leave rounding behind, which would break ties, of truth above all.
    return centred.round(9).corr(method="spearman")


def prompt_mean(frame: pd.DataFrame, metric: str) -> float:
    """Mean over prompts of the mean over seeds."""
    return float(frame.groupby("prompt")[metric].mean().mean())


def differences(method: pd.DataFrame, standard: pd.DataFrame, metric: str) -> Array:
    """d (prompts, seeds), NaN where an image or its score is missing; prompts without any pair are left out."""
    keys = ["prompt", "seed"]
    d = method.set_index(keys)[metric].astype(float) - standard.set_index(keys)[metric].astype(float)
    return d.dropna().unstack("seed").to_numpy()


def mean_of_prompts(d: Array) -> float:
    """Mean over prompts of the mean over seeds of d (prompts, seeds); NaN of nothing."""
    return float(np.nanmean(d, axis=1).mean()) if d.size else np.nan


def interval(
    d: Array, *, shared: bool = False, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Bootstrap interval of the mean of d (prompts, seeds); NaN for fewer than two prompts."""
    if len(d) < 2:
        return np.nan, np.nan
    draw = np.random.default_rng(seed)
    if shared:
        means = _means_of_prompts_and_seeds(d, draw, resamples)
    else:
        of_prompt = np.nanmean(d, axis=1)
        means = _multiplicities(draw, len(d), resamples) @ of_prompt / len(d)
    tail = percentile((1 - level) / 2, len(d))
    low, high = np.nanquantile(means, [tail, 1 - tail])
    return float(low), float(high)


def percentile(alpha: float, n: int) -> float:
    """Where to read the bootstrap distribution of n clusters for a tail of α: α itself for many, further out for few."""
    return float(stats.norm.cdf(np.sqrt(n / (n - 1)) * stats.t.ppf(alpha, n - 1)))


def win_tie_loss(d: Array, metric: str, tie: float) -> dict[str, float]:
    """Fractions of pairs with d > tie, |d| ≤ tie and d < −tie."""
    pairs = d[~np.isnan(d)]
    if not pairs.size:
        return {f"{metric}_{outcome}": np.nan for outcome in ("win", "tie", "loss")}
    win, loss = float(np.mean(pairs > tie)), float(np.mean(pairs < -tie))
    return {
        f"{metric}_win": win,
        f"{metric}_tie": float(np.mean(np.abs(pairs) <= tie)),
        f"{metric}_loss": loss,
    }


def _multiplicities(draw: np.random.Generator, n: int, resamples: int) -> Array:
    """How often each of n is drawn when n are drawn with replacement, (resamples, n)."""
    return draw.multinomial(n, np.full(n, 1 / n), size=resamples).astype(float)


def _means_of_prompts_and_seeds(d: Array, draw: np.random.Generator, resamples: int) -> Array:
    """Means of the cells of d under independent resampling of its rows and its columns, (resamples,)."""
    rows = _multiplicities(draw, d.shape[0], resamples)
    columns = _multiplicities(draw, d.shape[1], resamples)
    there = ~np.isnan(d)
    total = (rows @ np.where(there, d, 0.0) * columns).sum(1)
    count = (rows @ there.astype(float) * columns).sum(1)
    return np.divide(total, count, out=np.full(resamples, np.nan), where=count > 0)
