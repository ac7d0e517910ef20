"""The Fréchet distance of two sets of features, taken for Gaussians, and what it would be of endless samples.

    FID  = ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½)        tr (Σ₁ Σ₂)^½ = Σ_i √λ_i(Σ₁^½ Σ₂ Σ₁^½)
    FID∞ = a where FID_N ≈ a + b / N is fitted to subsets of N of the first set, N from a third of it to all of it

FID is biased upwards by about b / N, so that sets of unequal size must not be compared, and N below the number of features
leaves Σ singular. FID∞ takes that of the first set away; what the reference adds stays. Heusel et al. 2017, arXiv
1706.08500; Chong, Forsyth 2020, arXiv 1911.07023.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from noisekit.errors import BadValue

Array = NDArray[np.float64]

#: Subsets that FID∞ is fitted to, and the least share of the set that one holds.
SUBSETS, LEAST = 15, 1 / 3


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Mean (D,) and unbiased covariance (D, D) of `count` features; `of` takes them from features (N, D)."""

    mean: Array
    covariance: Array
    count: int

    @classmethod
    def of(cls, features: Array) -> Self:
        if len(features) < 2:
            raise BadValue(f"{len(features)} images have no covariance; give two at least, better thousands")
        whole = np.asarray(features, np.float64)
        return cls(whole.mean(0), np.atleast_2d(np.cov(whole, rowvar=False)), len(whole))

    @cached_property
    def root(self) -> Array:
        """Σ^½, by which a reference is compared again and again."""
        values, vectors = np.linalg.eigh(self.covariance)
        return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T


def frechet(one: Gaussian, reference: Gaussian) -> float:
    """The Fréchet distance of two Gaussians; symmetric, 0 or more."""
    shift = ((one.mean - reference.mean) ** 2).sum()
    product = reference.root @ one.covariance @ reference.root
    shared = np.sqrt(np.clip(np.linalg.eigvalsh((product + product.T) / 2), 0, None)).sum()
    return float(shift + np.trace(one.covariance) + np.trace(reference.covariance) - 2 * shared)


def curve(features: Array, reference: Gaussian, seed: int = 0) -> tuple[list[int], list[float]]:
    """Sizes N of random subsets of features (N, D), and the distance of each to the reference."""
    if len(features) < 3 * SUBSETS:
        raise BadValue(f"{len(features)} images are too few for a curve over N; give {3 * SUBSETS} at least")
    rng = np.random.default_rng(seed)
    sizes = np.linspace(LEAST * len(features), len(features), SUBSETS).round().astype(int).tolist()
    subsets = (features[rng.permutation(len(features))[:size]] for size in sizes)
    return sizes, [frechet(Gaussian.of(subset), reference) for subset in subsets]


def infinity(sizes: list[int], values: list[float]) -> float:
    """What a curve over N tends to: the intercept of a line in 1/N."""
    _, intercept = np.polyfit(1 / np.asarray(sizes, float), np.asarray(values, float), 1)
    return float(intercept)
