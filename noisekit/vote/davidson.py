"""Bradley–Terry with ties: one scale of strength from the votes on all pairs of methods.

    P(a) : P(tie) : P(b)  =  π_a : ν√(π_a π_b) : π_b                  strength(a) = ln π_a − ln π_standard

(Davidson 1970, "On extending the Bradley–Terry model to accommodate ties in paired comparison experiments".) The likelihood
is concave in ln π and ln ν, and Newton's steps find its top. One more vote for every two methods, ½ a tie and ¼ for
each, keeps strengths finite where one wins all, and compares those that never met. The errors of the strengths are sums over
votes of H⁻¹ times each vote's gradient, clustered by prompt and voter, and by seed where it is shared, as rates are
(`vote.clusters`), and at least those of the likelihood itself, √diag H⁻¹.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from noisekit.errors import BadValue
from noisekit.evaluation.intervals import Array
from noisekit.vote.clusters import Codes, Spread, spread

COLUMNS = ["method", "strength", "low", "high", "rank", "votes", "tie"]
_STEPS = 100


def davidson(
    votes: pd.DataFrame, methods: Sequence[str], level: float = 0.95, shared: bool = False
) -> pd.DataFrame:
    """The methods by strength, the strongest first; columns: `COLUMNS`, where strength is 0 for the first of `methods`.

    Args:
        votes: One row a vote: method, other, score (1 where `method` was preferred, 0 where `other` was, ½ for a tie),
            prompt, voter; seed, where `shared`.
        methods: Two or more; the first is what the others are measured against.
        level: Of the intervals.
        shared: Whether all prompts had the same noises, a seed each.

    Raises:
        BadValue: fewer than two methods, or a vote on another one.
    """
    places = {method: place for place, method in enumerate(methods)}
    if len(places) < 2:
        raise BadValue("strengths need two methods or more")
    if strangers := set(votes["method"]).union(votes["other"]) - set(places):
        raise BadValue(f"votes name methods that were not asked for: {', '.join(sorted(strangers))}")
    one, two = (np.asarray(votes[side].map(places), dtype=np.intp) for side in ("method", "other"))
    features = _features(one, two, len(methods))
    answers = np.stack([votes["score"] == 1, votes["score"] == 0.5, votes["score"] == 0], 1).astype(float)
    theta, inverse, gradients = _fit(features, answers, len(methods))
    errors = gradients @ inverse
    drawn = [pd.factorize(votes[name])[0] for name in ("prompt", "voter", *(("seed",) if shared else ()))]
    found = [spread(errors[:, k], *drawn) for k in range(len(methods) - 1)]
    halves = [0.0, *(_half(one, inverse[k, k], level) for k, one in enumerate(found))]
    strength = np.array([0.0, *theta[:-1]])
    count = np.bincount(np.concatenate([one, two]), minlength=len(methods))
    rank = 1 + (strength[None] > strength[:, None]).sum(1)
    columns = (list(methods), strength, strength - halves, strength + halves, rank, count, np.exp(theta[-1]))
    table = pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))
    return table.sort_values("strength", ascending=False, ignore_index=True)


def _half(found: Spread, least: float, level: float) -> float:
    from scipy.special import stdtrit  # slow to import, and a listing needs no interval

    return float(stdtrit(found.freedom, (1 + level) / 2) * np.sqrt(max(found.variance, least)))


def _features(one: Codes, two: Codes, methods: int) -> Array:
    """(votes, 3, methods): what ln π of the methods but the first, and ln ν, add to ln P of a win, a tie, a loss."""
    table = np.zeros((len(one), 3, methods + 1))
    vote = np.arange(len(one))
    table[vote, 0, one] = table[vote, 2, two] = 1
    table[vote, 1, one] = table[vote, 1, two] = 0.5
    table[:, 1, methods] = 1
    return table[..., 1:]


def _fit(features: Array, answers: Array, methods: int) -> tuple[Array, Array, Array]:
    """θ at the top of the likelihood, H⁻¹ there, and each vote's gradient (votes, methods)."""
    from scipy.special import log_softmax

    extra: tuple[Codes, Codes] = np.triu_indices(methods, 1)
    all_features = np.concatenate([features, _features(extra[0], extra[1], methods)])
    all_answers = np.concatenate([answers, np.tile([0.25, 0.5, 0.25], (len(extra[0]), 1))])
    theta = np.zeros(methods)
    for _ in range(_STEPS):
        p = np.exp(log_softmax(all_features @ theta, axis=1))
        gradients = np.einsum("nk,nkm->nm", all_answers - p, all_features)
        mean = np.einsum("nk,nkm->nm", p, all_features)
        hessian = np.einsum("nk,nkm,nkl->ml", p, all_features, all_features) - mean.T @ mean
        step = np.linalg.solve(hessian, gradients.sum(0))
        theta = theta + step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-9:
            break
    return theta, np.linalg.inv(hessian), gradients[: len(features)]
