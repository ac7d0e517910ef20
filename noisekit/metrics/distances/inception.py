"""The Inception of 2015 by whose 2048 features FID is measured, and the ways in which a picture is resized for it.

    clean   each channel in floating point by Pillow, bicubic with antialias, clipped        clean-fid's, and the default
    tf      bilinear without antialias, from the corner of a pixel on                       TensorFlow 1's, torch-fidelity's
    torch   bilinear without antialias, from the middle of a pixel on                       pytorch-fid's

The same pictures give different FIDs by each, so a score without the name of its own says little. The network is not
torchvision's, though it is of its blocks: its averages leave the padding out, and its last block pools by the maximum.
Szegedy et al. 2015, arXiv 1512.00567; Parmar, Zhang, Zhu 2022, arXiv 2104.11222.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torchvision.models.inception import Inception3, InceptionA, InceptionC, InceptionE

from noisekit.errors import BadValue
from noisekit.rewards.checkpoint import check_tensors, finished, read_tensors

Resize = Literal["clean", "tf", "torch"]

#: Pixels of a side of the input, and classes of the output.
SIDE, CLASSES = 299, 1008
#: How the SHA-256 of the published file begins.
PUBLISHED = "6726825d"


class Inception:
    """A file with the weights, of pytorch-fid or torch-fidelity: they are the same.

    resize: one of `clean`, `tf` and `torch`.
    """

    def __init__(self, file: Path, device: str | torch.device = "cpu", resize: Resize = "clean") -> None:
        if resize not in get_args(Resize):
            raise BadValue(f"resize={resize!r} is none of {', '.join(get_args(Resize))}")
        self.device, self.resize = torch.device(device), resize
        tensors = read_tensors(file)
        network = Inception2015()
        counts = {
            name: value
            for name, value in network.state_dict().items()
            if name.endswith("num_batches_tracked")
        }
        check_tensors(counts | tensors, network.state_dict(), file)
        network.load_state_dict(counts | tensors)
        self.network = finished(network, self.device, torch.float32)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        weights = "" if digest.startswith(PUBLISHED) else f", weights {digest[:8]}"
        self.name = f"Inception 2015, {resize} resize{weights}"
        self.identity: dict[str, Any] = {"inception": digest[:16], "resize": resize, "version": 1}

    @torch.no_grad()
    def __call__(self, pictures: Sequence[Image.Image]) -> Tensor:
        """The features (B, 2048) of 8-bit RGB pictures of one size."""
        pixels = prepared(pictures, self.resize).to(self.device)
        return self.network(pixels).double().cpu()


def prepared(pictures: Sequence[Image.Image], resize: Resize) -> Tensor:
    """The input (B, 3, 299, 299) of pictures: about −1 … 1."""
    if resize == "clean":
        channels = [_clean(channel) for picture in pictures for channel in picture.split()]
        pixels = torch.from_numpy(np.stack(channels)).view(len(pictures), 3, SIDE, SIDE)
        return (pixels - 128) / 128
    pixels = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures])).permute(0, 3, 1, 2)
    if resize == "tf":
        return (_from_corners(pixels.float()) - 128) / 128
    size = (SIDE, SIDE)
    return 2 * F.interpolate(pixels.float() / 255, size, mode="bilinear", align_corners=False) - 1


def _clean(channel: Image.Image) -> np.ndarray:
    values = Image.fromarray(np.asarray(channel, np.float32))
    return np.asarray(values.resize((SIDE, SIDE), Image.Resampling.BICUBIC)).clip(0, 255)


def _from_corners(pixels: Tensor) -> Tensor:
    """Bilinear between x_⌊s⌋ and x_⌊s⌋₊₁ with s = i · size / 299, first along height, then along width."""
    for axis in (-2, -1):
        size = pixels.shape[axis]
        at = torch.arange(SIDE, dtype=torch.float32) * (size / SIDE)
        low = at.floor().long().clamp(max=size - 1)
        part = (at - low).view(-1, *[1] * (-axis - 1))
        below, above = (
            pixels.index_select(axis, low),
            pixels.index_select(axis, (low + 1).clamp(max=size - 1)),
        )
        pixels = below + (above - below) * part
    return pixels


class _Uncounted(nn.Module):
    """A block whose last branch averages over the pixels that are there, not over padding."""

    branch_pool: nn.Module

    def _forward(self, x: Tensor) -> list[Tensor]:
        *others, _ = super()._forward(x)  # type: ignore[misc]
        return [*others, self.branch_pool(self.pool(x))]

    def pool(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class _A(_Uncounted, InceptionA): ...


class _C(_Uncounted, InceptionC): ...


class _E(_Uncounted, InceptionE): ...


class _Last(_E):
    def pool(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 3, stride=1, padding=1)


class Inception2015(Inception3):
    """torchvision's network with the pools and the number of classes of the published one; it gives features (B, 2048)."""

    def __init__(self) -> None:
        super().__init__(num_classes=CLASSES, aux_logits=False, init_weights=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _A(192, 32), _A(256, 64), _A(288, 64)
        self.Mixed_6b, self.Mixed_6c = _C(768, 128), _C(768, 160)
        self.Mixed_6d, self.Mixed_6e = _C(768, 160), _C(768, 192)
        self.Mixed_7b, self.Mixed_7c = _E(1280), _Last(2048)

    def forward(self, x: Tensor) -> Tensor:
        for name, block in self.named_children():
            if name not in ("dropout", "fc"):
                x = block(x)
        return x.flatten(1)
