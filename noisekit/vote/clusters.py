"""How well a mean of votes is known: prompts are drawn, and so are voters, and every vote has one of each.

    e_i          what vote i adds to the error of the mean, (y_i − ȳ)/n; Σe_i = 0
    P, V, C      G/(G − 1) · Σ over the G prompts, voters, or (prompt, voter) of (Σe_i within)²
    s²           = max(P, C) + max(V − C, 0)
    f            = s⁴ / (P²/f_P + V²/f_V + C²/f_C)            each f one less than the number that counts, n²/Σn_g²

    S, D, E, F   the same over seeds, (prompt, seed), (voter, seed), (prompt, voter, seed), where prompts share their noises
    s²           + max(S − D − E + F, 0)                      f with the squares of these, too

Votes on one prompt are alike, and so are those of one voter: P holds what prompts add to the variance, V what voters add,
and C, which both hold, is counted once (Cameron, Gelbach and Miller 2011, "Robust inference with multiway clustering"). The
maxima keep chance from taking away more than there is; terms that do not stand in s² do not stand in f. Fewer than
`VOTERS` voters say nothing about others: then prompts alone are drawn, and the mean is one of these voters. Where all
prompts had the same noises, votes on one seed are alike, too: S − D − E + F is what pairs of votes add that share the seed
alone. Fewer than `SEEDS` shared seeds say nothing of others, and then nothing is known, as of metrics
(`evaluation.intervals`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from noisekit.evaluation.intervals import SEEDS, Array

Codes = NDArray[np.intp]

#: Voters from whom others can be told of.
VOTERS = 3


@dataclass(frozen=True)
class Spread:
    """variance: s². freedom: f. least: the smallest of f_P, f_V and f_S. of_voters: whether voters were drawn as well."""

    variance: float
    freedom: float
    least: float
    of_voters: bool


@dataclass(frozen=True)
class Shares:
    """What the variance of a single vote is made of: its prompt, its voter, and the rest."""

    prompt: float
    voter: float
    rest: float


def spread(errors: Array, prompts: Codes, voters: Codes, seeds: Codes | None = None) -> Spread:
    """The variance of Σe and what it is worth, of votes on numbered prompts by numbered voters, each number used.

    seeds: of the images, where prompts share their noises. NaN with fewer than two prompts, or `SEEDS` such seeds.
    """
    of_prompt, free_prompt = _sums(errors, prompts)
    of_cell, free_cell = _sums(errors, _cells(prompts, voters))
    told = bool(voters.max(initial=-1) + 1 >= VOTERS)
    of_voter, free_voter = _sums(errors, voters) if told else (0.0, np.inf)
    variance = max(of_prompt, of_cell) + max(of_voter - of_cell, 0.0)
    doubt = of_prompt**2 / free_prompt if of_prompt >= of_cell else of_cell**2 / free_cell
    if of_voter > of_cell:
        doubt += of_voter**2 / free_voter + of_cell**2 / free_cell
    least = min(free_prompt, free_voter)
    if seeds is not None:
        if seeds.max(initial=-1) + 1 < SEEDS:
            return Spread(np.nan, np.nan, np.nan, told)
        of_seed, free_seed = _sums(errors, seeds)
        within = [_sums(errors, _cells(group, seeds)) for group in (prompts, voters, _cells(prompts, voters))]
        alone = of_seed - within[0][0] - within[1][0] + within[2][0]
        least = min(least, free_seed)
        if alone > 0:
            variance += alone
            doubt += of_seed**2 / free_seed + sum(term**2 / free for term, free in within)
    freedom = variance**2 / doubt if doubt > 0 else np.nan
    return Spread(variance, freedom, least, told)


def shares(values: Array, prompts: Codes, voters: Codes) -> Shares:
    """σ² of prompt, voter and rest: means of products of the values' deviations, over votes that share the one alone.

    No share is below 0. Raises nothing: where no two votes share a prompt, or a voter, its share is 0.
    """
    deviations = values - values.mean()
    cells = _cells(prompts, voters)
    within, pairs = _products(deviations, cells)
    found: list[float] = []
    for group in (prompts, voters):
        products, number = _products(deviations, group)
        found.append(max(0.0, (products - within) / (number - pairs)) if number > pairs else 0.0)
    total = float((deviations**2).sum()) / max(1, len(values) - 1)
    return Shares(found[0], found[1], max(0.0, total - sum(found)))


def _cells(one: Codes, other: Codes) -> Codes:
    """A number for every pair of numbers, such as (prompt, voter), that there is."""
    return np.unique(one * (other.max(initial=0) + 1) + other, return_inverse=True)[1]


def _sums(errors: Array, group: Codes) -> tuple[float, float]:
    sums, sizes = np.bincount(group, errors), np.bincount(group)
    number = len(sums)
    if number < 2:
        return np.nan, np.nan
    return number / (number - 1) * float((sums**2).sum()), float(sizes.sum() ** 2 / (sizes**2).sum()) - 1


def _products(values: Array, group: Codes) -> tuple[float, int]:
    """Σ of the products of two values of one group, and how many they are."""
    sums, sizes = np.bincount(group, values), np.bincount(group)
    return float((sums**2).sum() - (values**2).sum()), int((sizes**2).sum() - sizes.sum())
