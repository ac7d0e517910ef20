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
import torch

from noisekit.evaluation.noise_statistics import matrices, rings

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class NoiseAnalysis:
    """What methods did to their noises, all images of a method taken together.

    frequencies: one row per (model, method, ring): model, method, frequency (cycles per latent pixel), found and initial
    (spectra, 1 for white noise), coherence 0 … 1, chance (its expectation for independent noises).
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
        key = record["model"], record["method"], (channels, height, width)
        groups.setdefault(key, []).append(record)
    frequencies, vectors = [_FREQUENCIES], [_VECTORS]
    for (model, method, shape), group in groups.items():
        for tables, table in ((frequencies, _by_ring(group, shape)), (vectors, _by_index(group, shape))):
            table.insert(0, "model", model)
            table.insert(1, "method", method)
            tables.append(table)
    return NoiseAnalysis(*(_joined(tables) for tables in (frequencies, vectors)))


_FREQUENCIES = pd.DataFrame(
    columns=["model", "method", "frequency", "found", "initial", "coherence", "chance"]
)
_VECTORS = pd.DataFrame(columns=["model", "method", "index", "similarity", "chance"])


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(tables[1:], ignore_index=True) if len(tables) > 1 else tables[0].copy()


def _by_ring(records: Sequence[Mapping[str, Any]], shape: Shape) -> pd.DataFrame:
    found, initial, cross = (
        np.sum([record[name] for record in records], axis=0) for name in ("found", "initial", "cross")
    )
    index = rings(*shape[1:]).flatten()
    terms = len(records) * shape[0] * torch.bincount(index).numpy()
    frequency = np.arange(len(terms)) / min(shape[1:])
    coherence = cross**2 / (found * initial)
    return pd.DataFrame(
        {
            "frequency": frequency,
            "found": found / terms,
            "initial": initial / terms,
            "coherence": coherence,
            "chance": 1 / terms,
        }
    )


def _by_index(records: Sequence[Mapping[str, Any]], shape: Shape) -> pd.DataFrame:
    similarity = np.mean([record["similarity"] for record in records], axis=0)
    sizes = matrices(torch.empty(1, *shape, device="meta")).shape[1:]
    chance = np.mean([_cosine_by_chance(size) for size in sizes])
    return pd.DataFrame({"index": range(len(similarity)), "similarity": similarity, "chance": chance})


def _cosine_by_chance(size: int) -> float:
    """E|cos| between random directions in `size` dimensions: Γ(n/2) / (√π·Γ((n+1)/2))."""
    return math.exp(math.lgamma(size / 2) - math.lgamma((size + 1) / 2)) / math.sqrt(math.pi)
