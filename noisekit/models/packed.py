"""Flows over packed latents: one token for each 2×2 patch, its channels outermost, and where the tokens lie.

    (B, C, h, w) → (B, h/2·w/2, 4C)        ids (h/2·w/2, 3) = (0, row, column)

Their pipelines take noise in this layout too.
"""

from __future__ import annotations

from abc import ABC
from typing import ClassVar

import torch
from torch import Tensor

from noisekit.models.flow import FlowModel


class PackedFlow(FlowModel, ABC):
    """A flow whose transformer takes latents as tokens of 2×2 patches."""

    even_levels: ClassVar[bool] = True

    @property
    def patch(self) -> int:
        return 2

    @property
    def usual_size(self) -> tuple[int, int]:
        side = self.pipe.default_sample_size * self.pipe.vae_scale_factor
        return side, side

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        channels, h, w = super().latent_shape(height, width)
        return channels // 4, h, w

    def pipe_latents(self, noise: Tensor) -> Tensor:
        return packed(super().pipe_latents(noise))


def packed(x: Tensor) -> Tensor:
    """Latents (n, C, h, w) as tokens (n, h/2·w/2, 4C), each a 2×2 patch with its channels outermost."""
    n, channels, height, width = x.shape
    patches = x.reshape(n, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return patches.reshape(n, height // 2 * (width // 2), 4 * channels)


def unpacked(tokens: Tensor, height: int, width: int) -> Tensor:
    """The latents (n, C, h, w) of `packed` tokens."""
    n, _, values = tokens.shape
    patches = tokens.reshape(n, height // 2, width // 2, values // 4, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return patches.reshape(n, values // 4, height, width)


def positions(rows: int, columns: int) -> Tensor:
    """(0, row, column) of each token (rows·columns, 3), row by row."""
    return torch.cartesian_prod(torch.zeros(1), torch.arange(float(rows)), torch.arange(float(columns)))
