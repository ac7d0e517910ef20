"""The .pth files that the authors of NPNet published: for SDXL, DreamShaper-xl-v2-turbo and Hunyuan-DiT.

    unet_svd, unet_embedding, embeeding     state dicts of the svd, residual and text branches; the last is spelt so
    alpha, beta                             the two scalars: 1e-4 and −0.0189 (SDXL), 7e-5 and 0.0432 (DreamShaper), 2e-4
                                            and 0.0018 (Hunyuan-DiT), as the paper prints them

They are pickles: nothing in them is executed. The text branch tells which network it is; everything else has one size.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noisekit.errors import CorruptWeights
from noisekit.npnet.network import PUBLISHED, NPNet, NPNetConfig
from noisekit.paths import given_path
from noisekit.pickles import read_pickle
from noisekit.rewards.folders import require

#: Parts of a published file, and what they are here.
PARTS = {"unet_svd": "svd", "unet_embedding": "residual", "embeeding": "text"}

#: What a published file holds besides: a batch norm and a classifier that no forward pass reaches, and buffers.
UNUSED = re.compile(r"svd\.bn\.|residual\.swin\.head\.|.*\.(relative_position_index|attn_mask)$")

#: Where the files are to be had, for messages.
WHERE = (
    "the authors publish networks for SDXL, DreamShaper-xl-v2-turbo and Hunyuan-DiT as .pth files, to which the README of "
    "their repository xie-lab-ml/Golden-Noise-for-Diffusion-Models leads"
)


def load_published(file: str | Path, config: NPNetConfig | None = None) -> NPNet:
    """The network of a published .pth file, in eval mode and frozen. Names that timm's Swin has changed since are mapped.

    Args:
        file: the .pth file.
        config: needed for other sizes than the published ones only.

    Raises:
        CorruptWeights: for files that are damaged, that hold anything but tensors, or other tensors than NPNet's.
    """
    path = given_path(file)
    require(path)
    weights = _ours(read_pickle(path), path)
    network = NPNet.filled(config or _config(weights, path), weights, str(path))
    network.card = about(path)
    return network


def about(file: Path) -> dict[str, Any]:
    """The card of a published file. All three networks were trained on pairs that HPSv2 had chosen."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"published": file.name, "sha256": digest, "metric": "hps", "source": "arXiv 2411.09502"}


def _ours(stored: Any, path: Path) -> dict[str, Tensor]:
    """The tensors of a published file under our names."""
    keys = [*PARTS, "alpha", "beta"]
    found = stored if isinstance(stored, Mapping) else {}
    if absent := [key for key in keys if key not in found]:
        raise CorruptWeights(
            f"{str(path)!r} lacks {absent[0]!r}; a published NPNet holds {', '.join(keys)}, so check that it is one"
        )
    weights: dict[str, Any] = {}
    for theirs, ours in PARTS.items():
        if not isinstance(stored[theirs], Mapping):
            raise CorruptWeights(
                f"{str(path)!r} holds no state dict under {theirs!r}; check that it is an NPNet"
            )
        weights |= {f"{ours}.{name}": tensor for name, tensor in stored[theirs].items()}
    # Until timm 0.9 a stage of the Swin ended with its downsampling; since then the next stage begins with it.
    if "residual.swin.layers.0.downsample.reduction.weight" in weights:
        weights = {
            re.sub(
                r"layers\.(\d+)\.downsample", lambda found: f"layers.{int(found[1]) + 1}.downsample", name
            ): tensor
            for name, tensor in weights.items()
        }
    weights |= {name: _scalar(stored[name], name, path) for name in ("alpha", "beta")}
    weights = {name: tensor for name, tensor in weights.items() if not UNUSED.match(name)}
    for name, tensor in weights.items():
        if not isinstance(tensor, Tensor):
            raise CorruptWeights(f"{str(path)!r} holds no tensor under {name!r}; check that it is an NPNet")
    return weights


def _scalar(value: Any, name: str, path: Path) -> Tensor:
    if isinstance(value, float | int) or (isinstance(value, Tensor) and value.numel() == 1):
        return torch.as_tensor(value, dtype=torch.float32).detach().reshape(1)
    raise CorruptWeights(f"{str(path)!r} holds no single number under {name!r}; check that it is an NPNet")


def _config(weights: Mapping[str, Tensor], path: Path) -> NPNetConfig:
    """Which of the published networks it is, by the length of the text that it reads."""
    for config in PUBLISHED.values():
        expected = config.tokens * config.width
        if (text := weights.get("text.linear.weight")) is not None and text.shape[-1:] == (expected,):
            return config
    raise CorruptWeights(
        f"the text branch of {str(path)!r} reads neither 77 × 2048 numbers, as those for SDXL and DreamShaper do, nor "
        "77 × 1024, as that for Hunyuan-DiT does; check that it is a published NPNet"
    )
