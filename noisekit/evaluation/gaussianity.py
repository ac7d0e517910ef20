"""Are noises still draws of N(0, I)? Four tests of each, and what is left of them when many are asked at once.

    norm           ‖ε‖² ~ χ²_d                                                        d: numbers of a noise
    distribution   sup |F(x) − Φ(x)| of its numbers                                   Kolmogorov and Smirnov
    shape          d·(m₃²/15 + (m₄ − 3)²/96) ~ χ²_2, m_k the mean of ε^k                Jarque and Bera, about N(0, 1)
    neighbours     Σ ε_i·ε_j / √n ~ N(0, 1) over the n pairs of adjacent pixels

All are against N(0, I) itself, none of its parameters estimated: a scaled or shifted noise fails as a correlated one does.
Of drawn noises one in twenty is below .05 by each. The table says how many of a method's are, p how likely so many are by
chance, and p_holm is p adjusted over all methods and tests of a model: "not Gaussian" is told where it is at most .05. A
search moves noises by so little that one of them rarely says so; many together do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd

from noisekit.evaluation.intervals import Array
from noisekit.evaluation.significance import holm

COLUMNS = ["model", "method", "test", "noises", "below", "p", "p_holm", "family"]
#: Below which a single noise is counted.
LEVEL = 0.05


def gaussianity(noises: Iterable[tuple[str, str, Array]]) -> pd.DataFrame:
    """One row per (model, method, test) of noises (…, h, w) with the names of their model and method; see `COLUMNS`.

    below: the share of noises with p ≤ .05.
    """
    from scipy.special import bdtrc

    found: dict[tuple[str, str, str], list[float]] = {}
    for model, method, noise in noises:
        for test, p in p_values(noise).items():
            found.setdefault((model, method, test), []).append(p)
    rows = []
    for key, own in found.items():
        below = int(np.sum(np.array(own) <= LEVEL))
        by_chance = bdtrc(below - 1, len(own), LEVEL)
        rows.append((*key, len(own), below / len(own), float(by_chance)))
    table = pd.DataFrame(rows, columns=COLUMNS[:-2])
    table["p_holm"] = table.groupby("model", sort=False)["p"].transform(holm)
    return table.assign(family=table.groupby("model", sort=False)["p"].transform("size"))


def p_values(noise: Array) -> dict[str, float]:
    """The p-value of each test of one noise (C, h, w)."""
    return {name: test(np.asarray(noise, dtype=np.float64)) for name, test in TESTS.items()}


def _norm(noise: Array) -> float:
    from scipy.special import chdtr, chdtrc

    squared = float(np.square(noise).sum())
    return float(2 * min(chdtr(noise.size, squared), chdtrc(noise.size, squared)))


def _distribution(noise: Array) -> float:
    from scipy.stats import kstest

    return float(kstest(noise.ravel(), "norm").pvalue)


def _shape(noise: Array) -> float:
    from scipy.special import chdtrc

    third, fourth = np.mean(noise**3), np.mean(noise**4) - 3
    return float(chdtrc(2, noise.size * (third**2 / 15 + fourth**2 / 96)))


def _neighbours(noise: Array) -> float:
    from scipy.special import ndtr

    across, down = noise[..., 1:] * noise[..., :-1], noise[..., 1:, :] * noise[..., :-1, :]
    z = (across.sum() + down.sum()) / np.sqrt(across.size + down.size)
    return float(2 * ndtr(-abs(z)))


TESTS: Mapping[str, Callable[[Array], float]] = {
    "norm": _norm,
    "distribution": _distribution,
    "shape": _shape,
    "neighbours": _neighbours,
}
