"""Which differences are real: paired differences against the standard image, with intervals clustered by prompt.

    d(prompt, seed) = score(method) − score(standard)       the same model, prompt and seed
    difference      = mean over prompts of the mean over seeds of d

Images of one prompt are alike, so prompts are what is drawn; where all prompts had the same noises, seeds are drawn as well.
What an interval is stands in `noisekit.evaluation.intervals`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from noisekit.evaluation.intervals import Array, interval, mean_of_prompts

STANDARD = "standard"
#: Columns of a summary that say what an image costs.
COST = ["calls", "equivalents", "seconds"]


def summary(
    frame: pd.DataFrame, metrics: Sequence[str], ties: Mapping[str, float] | None = None, shared: bool = False
) -> pd.DataFrame:
    """One row per (model, method) of a frame with one row an image.

    Columns: model, method, n_images, n_prompts; for each metric its mean over prompts, and against standard
    <metric>_difference, _low and _high (95 % interval), _win, _tie and _loss (fractions of (prompt, seed), equal within
    the metric's tie tolerance); calls, denoiser equivalents and seconds per image. NaN where standard is compared with
    itself or nothing was scored. shared: whether all prompts had the same noises.
    """
    rows = []
    for model, own in frame.groupby("model", sort=False):
        scores = grids(own, metrics)
        for method, group in own.groupby("method", sort=False):
            row: dict[str, object] = {"model": model, "method": method}
            row |= {"n_images": len(group), "n_prompts": group["prompt"].nunique()}
            found = scores[str(method)]
            for k, metric in enumerate(metrics):
                row[metric] = mean_of_prompts(trimmed(found[..., k]))
                d = np.empty((0, 0))
                if method != STANDARD and STANDARD in scores:
                    d = trimmed((found - scores[STANDARD])[..., k])
                low, high = interval(d, shared=shared)
                row |= {
                    f"{metric}_difference": mean_of_prompts(d),
                    f"{metric}_low": low,
                    f"{metric}_high": high,
                }
                row |= win_tie_loss(d, metric, (ties or {}).get(metric, 0.0))
            rows.append(row | {name: group[name].mean() for name in COST if name in group})
    table = pd.DataFrame(rows)
    standard_first = table["method"].ne(STANDARD)
    models = pd.Categorical(table["model"], categories=table["model"].unique())
    return table.iloc[np.lexsort((standard_first, models.codes))].reset_index(drop=True)


def grids(frame: pd.DataFrame, metrics: Sequence[str]) -> dict[str, Array]:
    """Scores (P, S, K) of each method of one model on prompt, seed and metric, NaN where there is none."""
    prompt, prompts = pd.factorize(frame["prompt"])
    seed, seeds = pd.factorize(frame["seed"], sort=True)
    method, methods = pd.factorize(frame["method"])
    table = np.full((len(methods), len(prompts), len(seeds), len(metrics)), np.nan)
    table[method, prompt, seed] = frame[list(metrics)].to_numpy(float, na_value=np.nan)
    return dict(zip(methods, table, strict=True))


def trimmed(d: Array) -> Array:
    """d (P, S) without the prompts and the seeds that are NaN throughout."""
    there = ~np.isnan(d)
    return d[there.any(1)][:, there.any(0)]


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
    one, other = (part[[*keys, metric]].set_index(keys)[metric].astype(float) for part in (method, standard))
    d = one - other
    return d.dropna().unstack("seed").to_numpy()


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
