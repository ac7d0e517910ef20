"""As good as: whether a difference is told to be smaller than a margin.

    p = max(p(μ ≤ −m), p(μ ≥ m))        two one-sided tests (Schuirmann 1987), each as the intervals of `intervals` have it

"As good as" takes evidence of its own: that no difference was told may mean that too few prompts were asked. It is told at
the level α exactly where the 1 − 2α interval lies within the margins. Which difference would not matter is for whoever asks
to say, before looking; a method is better than standard and as good as standard at once where its gain is sure, and small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from noisekit.errors import BadValue
from noisekit.evaluation.comparisons import suites
from noisekit.evaluation.intervals import Estimate, estimate
from noisekit.evaluation.significance import holm
from noisekit.evaluation.statistics import STANDARD, grids, trimmed

COLUMNS = [
    *("model", "suite", "method", "against", "metric", "margin", "prompts", "difference", "low", "high"),
    *("p", "p_holm", "family", "as_good"),
]


def equivalence(found: Estimate, margin: float) -> float:
    """The p-value of |μ| ≥ margin, against |μ| < margin; NaN where too little is known."""
    return max(found.p_above(-margin), found.p_below(margin)) if found.error > 0 else np.nan


def equivalences(
    frame: pd.DataFrame,
    margins: Mapping[str, float],
    against: str = STANDARD,
    shared: bool = False,
    optimised: Callable[[str], frozenset[str]] = lambda method: frozenset(),
    level: float = 0.05,
) -> pd.DataFrame:
    """Which methods are as good as one of them, from a frame with one row an image; see `COLUMNS` and the module.

    Args:
        frame: with model, method, prompt, seed and the metrics.
        margins: by metric, the difference from which on it would matter.
        against: what the methods are as good as.
        shared: whether all prompts had the same noises.
        optimised: the metrics that a method had a hand in, which say nothing of it: its rows are left out.
        level: of `as_good`, after Holm over the rows of a model.

    Returns:
        One row a (model, suite, method, metric). low, high: the 1 − 2·level interval. family: how many Holm adjusts for.

    Raises:
        BadValue: on a margin that is not above 0.
    """
    for metric, margin in margins.items():
        if not 0 < margin < np.inf:
            raise BadValue(f"margin {margin!r} of metric {metric!r} is not a positive number")
    table = pd.DataFrame(_rows(frame, margins, against, shared, optimised, level), columns=COLUMNS[:-3])
    table["p_holm"], table["family"] = np.nan, 0
    for _, own in table.groupby("model", sort=False):
        table.loc[own.index, "p_holm"] = holm(own["p"])
        table.loc[own.index, "family"] = int(own["p"].notna().sum())
    return table.assign(as_good=table["p_holm"] <= level)


def _rows(
    frame: pd.DataFrame,
    margins: Mapping[str, float],
    against: str,
    shared: bool,
    optimised: Callable[[str], frozenset[str]],
    level: float,
) -> Iterator[dict[str, Any]]:
    for model, of_model in frame.groupby("model", sort=False):
        for suite, own in suites(of_model).items():
            scores = grids(own, list(margins))
            reference = scores.pop(against, None)
            if reference is None:
                continue
            about: dict[str, Any] = {"model": model, "suite": suite, "against": against}
            for method, found in scores.items():
                hands = optimised(method) | optimised(against)
                for k, (metric, margin) in enumerate(margins.items()):
                    d = trimmed((found - reference)[..., k])
                    if metric in hands or not d.size:
                        continue
                    one = estimate(d, shared=shared)
                    low, high = one.interval(1 - 2 * level)
                    row = about | {"method": method, "metric": metric, "margin": margin, "prompts": len(d)}
                    row |= {"difference": one.mean, "low": low, "high": high}
                    yield row | {"p": equivalence(one, margin)}
