"""How the elements of a noise (C, h, w) are arranged: its frequencies in rings, its channels in one matrix.

ring r holds the frequencies k with r − ½ ≤ min(h, w)·|k| < r + ½, in cycles per latent pixel
the matrix is (a·h, c·w), C = a·c with a the greatest divisor of C that is at most √C
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


@lru_cache(8)
def rings(height: int, width: int) -> NDArray[np.int64]:
    """The ring (h, w) of every frequency, 0 … R − 1; ring r lies around r / min(h, w) cycles per pixel."""
    vertical, horizontal = (np.fft.fftfreq(n) for n in (height, width))
    radius = np.hypot(vertical[:, None], horizontal[None, :])
    return np.floor(radius * min(height, width) + 0.5).astype(np.int64)


@lru_cache(256)
def sizes(channels: int, height: int, width: int) -> tuple[int, int]:
    """R and M of a noise: how many rings and pairs of singular vectors it has."""
    farthest = np.hypot(*(np.abs(np.fft.fftfreq(n)).max() for n in (height, width)))
    return math.floor(farthest * min(height, width) + 0.5) + 1, min(matrix_size(channels, height, width))


def factors(channels: int) -> tuple[int, int]:
    """(a, c): the channels as tiles of a rows and c columns."""
    a = max(d for d in range(1, math.isqrt(channels) + 1) if channels % d == 0)
    return a, channels // a


def matrix_size(channels: int, height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the matrix of a noise."""
    a, c = factors(channels)
    return a * height, c * width
