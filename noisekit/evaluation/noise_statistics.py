"""What a method did to the noise: is it still Gaussian, how far did it go, and at which frequencies.

Of the noise x found and the initial noise y of one image, both (C, h, w) and of unit variance:

    norm        ‖x‖                                       √(C·h·w) for Gaussian noise
    distance    ‖x − y‖                                   √2 times that for independent noises
    kurtosis    ⟨(x − ⟨x⟩)⁴⟩ / ⟨(x − ⟨x⟩)²⟩² − 3            the excess: 0 for Gaussian noise, means over all elements
    P_x(r)      Σ |X_c(k)|²    over channels c and the frequencies k of ring r,     X = unitary 2-D Fourier transform of x
    P_xy(r)     Σ X_c(k) Y_c(k)*                          real, since a ring holds k together with −k
    |cos|_i     (|u_i·u′_i| + |v_i·v′_i|) / 2             singular vectors of the matrices of x and y, in their order

Gaussian noise of n elements has a kurtosis of −6/(n + 1) on average. Ring r holds the frequencies with r − ½ ≤
min(h, w)·|k| < r + ½, |k| in cycles per latent pixel; the rings of a noise add up to its squared norm (Parseval). They are
sums, not means, so that those of several images add up.

The matrices are NPNet's ("b (a c) h w -> b (a h) (c w)" with a = c = 2 for four channels; Zhou et al. 2024, "Golden Noise",
arXiv 2411.09502), for C = a·c channels with a the greatest divisor of C that is at most √C. Singular vectors are ordered by
falling singular values: where two of those cross, their vectors trade places and |cos| falls.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from noisekit.evaluation.rings import factors, matrix_size, rings


@dataclass(frozen=True)
class NoiseStatistics:
    """Figures of B pairs of noises: norm, distance, kurtosis (B,), rings found, initial, cross (B, R), similarity (B, M).

    The sums over R rings are P_x, P_y and P_xy; similarity is |cos| of M pairs of singular vectors.
    """

    norm: Tensor
    distance: Tensor
    kurtosis: Tensor
    found: Tensor
    initial: Tensor
    cross: Tensor
    similarity: Tensor


def noise_statistics(found: Tensor, initial: Tensor) -> NoiseStatistics:
    """The statistics of noises (B, C, h, w) against the initial ones, computed on the CPU in double precision.

    The frames of noises (B, F, C, h, w) count as further channels.
    """
    x, y = (noise.detach().cpu().double().flatten(1, -3) for noise in (found, initial))
    of_x, of_y = (torch.fft.fft2(noise, norm="ortho") for noise in (x, y))
    return NoiseStatistics(
        norm=x.flatten(1).norm(dim=1),
        distance=(x - y).flatten(1).norm(dim=1),
        kurtosis=excess_kurtosis(x),
        found=_over_rings(of_x.abs().square()),
        initial=_over_rings(of_y.abs().square()),
        cross=_over_rings((of_x * of_y.conj()).real),
        similarity=singular_similarity(x, y),
    )


def excess_kurtosis(noise: Tensor) -> Tensor:
    """Excess kurtosis (B,) over all elements of each noise (B, C, h, w)."""
    centred = noise.flatten(1) - noise.flatten(1).mean(1, keepdim=True)
    return centred.pow(4).mean(1) / centred.square().mean(1).square() - 3


def matrices(noise: Tensor) -> Tensor:
    """Noises (B, C, h, w) as matrices (B, a·h, c·w), C = a·c, with the channels as tiles of the latent's size."""
    tiles = noise.unflatten(1, factors(noise.shape[1]))
    return tiles.permute(0, 1, 3, 2, 4).reshape(len(noise), *matrix_size(*noise.shape[1:]))


def singular_similarity(found: Tensor, initial: Tensor) -> Tensor:
    """|cos| (B, M) between the singular vectors of two batches of noises, left and right ones averaged."""
    (u, _, vh), (u0, _, vh0) = (
        torch.linalg.svd(matrices(noise), full_matrices=False) for noise in (found, initial)
    )
    return ((u * u0).sum(-2).abs() + (vh * vh0).sum(-1).abs()) / 2


def _over_rings(values: Tensor) -> Tensor:
    """Sums (B, R) over channels and frequencies of values (B, C, h, w)."""
    index = torch.from_numpy(rings(*values.shape[2:])).flatten().to(values.device)
    sums = values.new_zeros(len(values), int(index.max()) + 1)
    return sums.index_add(1, index, values.sum(1).flatten(1))
