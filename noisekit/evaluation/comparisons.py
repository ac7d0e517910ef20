"""Every comparison with standard as one table: how large, how sure, how often, and whether it survives its company.

One row a (model, suite, method, metric). p is that of the mean difference (`intervals`), p_sign of the number of prompts won
(`wins`), p_wilcoxon of the ranks of the prompts' differences (`significance`); each also after Holm. The family that Holm
guards is all rows of one model whose metric the method did not optimise: every method × metric × suite that somebody could
make a claim from. Rows that optimised their metric claim nothing, have no p_holm and make nobody else's larger.

`needed` says how many prompts would carry the difference that was seen through Holm: at the level 1 − .05/family, which is
what the first of the family has to pass.

Wins and ranks take prompts for independent. Where all prompts had the same noises they are not, and only the mean is tested.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from noisekit.evaluation.intervals import Estimate, estimate
from noisekit.evaluation.power import detectable, needed
from noisekit.evaluation.significance import holm, wilcoxon_p
from noisekit.evaluation.statistics import STANDARD, grids, trimmed
from noisekit.evaluation.wins import wins

TESTS = ("p", "p_sign", "p_wilcoxon")
COLUMNS = [
    *("model", "suite", "method", "metric", "optimised", "prompts"),
    *("difference", "low", "high", "detectable"),
    *("wins", "ties", "losses", "rate", "rate_low", "rate_high"),
    *TESTS,
    *(f"{test}_holm" for test in TESTS),
    "family",
    "needed",
]
#: What a false claim has to get by, over all of a family.
ALPHA = 0.05


def comparisons(
    frame: pd.DataFrame,
    metrics: Sequence[str],
    ties: Mapping[str, float] | None = None,
    shared: bool = False,
    optimised: Callable[[str], frozenset[str]] = lambda method: frozenset(),
) -> pd.DataFrame:
    """All methods against standard, from a frame with one row an image; see `COLUMNS` and the module.

    detectable: the true difference that the sample finds with probability .8. rate: of the prompts that are no ties.
    family: how many comparisons Holm adjusts for. needed: prompts that would tell the difference seen with probability .8,
    NaN where that is unknown, as for shared noises. suite: "" where the frame has none. shared: whether all prompts had the
    same noises. optimised: which metrics a method maximised itself.
    """
    found = list(_rows(frame, metrics, ties or {}, shared, optimised))
    table = pd.DataFrame([row for row, _ in found], columns=COLUMNS[: -len(TESTS) - 2])
    claims = ~table["optimised"].to_numpy(bool)
    for test in TESTS:
        table[f"{test}_holm"] = np.nan
        for _, own in table[claims].groupby("model", sort=False):
            table.loc[own.index, f"{test}_holm"] = holm(own[test])
    known = table["p"].notna() & claims
    table["family"] = known.groupby(table["model"]).transform("sum").astype(int)
    table["needed"] = [
        np.nan if shared or not one else needed(mean, prompts, level=1 - ALPHA / family)
        for one, (_, mean), prompts, family in zip(
            known, found, table["prompts"], table["family"], strict=True
        )
    ]
    return table


def suites(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each suite by its name, "" where none is known."""
    if "suite" not in frame or frame["suite"].isna().all():
        return {"": frame}
    return {str(name): own for name, own in frame.groupby(frame["suite"].fillna(""), sort=False)}


def _rows(
    frame: pd.DataFrame,
    metrics: Sequence[str],
    ties: Mapping[str, float],
    shared: bool,
    optimised: Callable[[str], frozenset[str]],
) -> Iterator[tuple[dict[str, Any], Estimate]]:
    """Each row with the mean that it is about."""
    for model, of_model in frame.groupby("model", sort=False):
        for suite, own in suites(of_model).items():
            scores = grids(own, metrics)
            standard = scores.pop(STANDARD, None)
            if standard is None:
                continue
            for method, found in scores.items():
                about = {"model": model, "suite": suite, "method": method}
                for k, metric in enumerate(metrics):
                    row = about | {"metric": metric, "optimised": metric in optimised(method)}
                    d = trimmed((found - standard)[..., k])
                    if d.size:
                        mean = estimate(d, shared=shared)
                        yield row | _compared(d, mean, ties.get(metric, 0.0), shared), mean


def _compared(d: np.ndarray, found: Estimate, tie: float, shared: bool) -> dict[str, float]:
    won = wins(d, tie)
    low, high = found.interval()
    rate_low, rate_high = won.interval
    tests = (found.p, *((np.nan, np.nan) if shared else (won.p, wilcoxon_p(d))))
    return {
        "prompts": len(d),
        "difference": found.mean,
        "low": low,
        "high": high,
        "detectable": detectable(found),
        "wins": won.wins,
        "ties": won.ties,
        "losses": won.losses,
        "rate": won.rate,
        "rate_low": np.nan if shared else rate_low,
        "rate_high": np.nan if shared else rate_high,
    } | dict(zip(TESTS, tests, strict=True))
