"""What a method does to noises, all of its images taken together (see `noise_statistics` for the sums P over rings).

    spectrum(r)   = ΣP_x(r) / n                               1 for white noise
    coherence(r)  = (ΣP_xy(r))² / (ΣP_x(r) · ΣP_y(r))         0 … 1; 1 where x is a multiple of y, 1/n by chance
    similarity(i) = mean of |cos|_i                           0 … 1; Γ(m/2) / (√π·Γ((m+1)/2)) by chance in m dimensions

Sums run over images, n is the number of terms (images × channels × frequencies of the ring), and chance is the expectation
for an x that is Gaussian noise and knows nothing of y.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from noisekit.evaluation.rings import matrix_size, rings

Shape = tuple[int, int, int]

#: Columns of the two tables.
FREQUENCIES = ["model", "method", "frequency", "found", "initial", "coherence", "chance"]
VECTORS = ["model", "method", "index", "similarity", "chance"]


@dataclass(frozen=True)
class NoiseAnalysis:
    """What methods did to their noises, all images of a method taken together.

    frequencies: one row per (model, method, ring): model, method, frequency (cycles per latent pixel), found and initial
    (spectra, 1 for white noise), coherence 0 … 1 (NaN without power), chance (its expectation for independent noises).
    vectors: one row per (model, method, index of a singular vector): model, method, index, similarity 0 … 1 (mean |cos|),
    chance (its expectation for random directions). Both are empty where no noise was recorded.
    """

    frequencies: pd.DataFrame
    vectors: pd.DataFrame


def noise_analysis(records: Iterable[Mapping[str, Any]]) -> NoiseAnalysis:
    """Put together records of single images: model, method, shape (C, h, w) and the lists of `NoiseStatistics`."""
    groups: dict[tuple[str, str, Shape], list[Mapping[str, Any]]] = {}
    for record in records:
        channels, height, width = record["shape"]
        groups.setdefault((record["model"], record["method"], (channels, height, width)), []).append(record)
    return NoiseAnalysis(
        _joined([_by_ring(*key, group) for key, group in groups.items()], FREQUENCIES),
        _joined([_by_index(*key, group) for key, group in groups.items()], VECTORS),
    )


def _by_ring(model: str, method: str, shape: Shape, records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    found, initial, cross = (
        np.sum([record[name] for record in records], axis=0) for name in ("found", "initial", "cross")
    )
    terms = len(records) * shape[0] * np.bincount(rings(*shape[1:]).flatten())
    frequency = np.arange(len(terms)) / min(shape[1:])
    power = found * initial
    coherence = np.divide(cross**2, power, out=np.full(len(terms), np.nan), where=power > 0)
    columns = (model, method, frequency, found / terms, initial / terms, coherence, 1 / terms)
    return pd.DataFrame(dict(zip(FREQUENCIES, columns, strict=True)))


def _by_index(model: str, method: str, shape: Shape, records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    similarity = np.mean([record["similarity"] for record in records], axis=0)
    chance = np.mean([_cosine_by_chance(size) for size in matrix_size(*shape)])
    columns = (model, method, range(len(similarity)), similarity, chance)
    return pd.DataFrame(dict(zip(VECTORS, columns, strict=True)))


def _joined(tables: Sequence[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)


def _cosine_by_chance(size: int) -> float:
    """E|cos| between random directions in `size` dimensions: Γ(n/2) / (√π·Γ((n+1)/2))."""
    return math.exp(math.lgamma(size / 2) - math.lgamma((size + 1) / 2)) / math.sqrt(math.pi)
