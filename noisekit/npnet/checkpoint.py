"""NPNet's files: artefact folders of our own, and the published .pth files.

    config.json          `NPNetConfig`
    model.safetensors    the weights, fp32
    card.json            how they were made: model, pairs, filter, losses

The identity of an artefact is a hash over the first two: the card tells, it decides nothing.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from noisekit.errors import BadValue, CorruptWeights
from noisekit.npnet.network import NPNet, NPNetConfig
from noisekit.rewards.checkpoint import DAMAGE, damaged, require

#: Folder of the weights that ship with noisekit.
BUNDLED = Path(str(files("noisekit"))) / "tiny" / "weights"

#: Parts of a published file, and what they are here.
PUBLISHED_PARTS = {"unet_svd": "svd", "unet_embedding": "residual", "embeeding": "text"}

#: What a published file holds besides: a batch norm and a classifier that no forward pass reaches, and buffers.
UNUSED = re.compile(r"svd\.bn\.|residual\.swin\.head\.|.*\.(relative_position_index|attn_mask)$")


def find_artefact(name: str) -> Path:
    """The folder of an artefact: one that ships with noisekit by its name, else a path; raises `BadValue` if neither."""
    for folder in (BUNDLED / name, Path(name).expanduser()):
        if (folder / "config.json").is_file() and (folder / "card.json").is_file():
            return folder
    raise BadValue(
        f"artefact {name!r} of npnet is no folder with config.json, model.safetensors and card.json; train one with "
        "`noisekit npnet train`"
    )


def artefact_hash(folder: Path) -> str:
    """SHA-256 over configuration and weights, its first 16 digits."""
    digest = hashlib.sha256()
    for name in ("config.json", "model.safetensors"):
        require(folder / name)
        digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return digest.hexdigest()[:16]


def save_artefact(folder: Path, network: NPNet, card: Mapping[str, Any]) -> None:
    """Write an artefact; the card last, so that a folder with a card is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    _write_json(folder / "config.json", network.config.json())
    save_file(weights, folder / "model.safetensors")
    _write_json(folder / "card.json", card)


def read_card(folder: Path) -> dict[str, Any]:
    """How an artefact was made."""
    return _read_json(folder / "card.json")


def load_network(folder: Path, device: torch.device | str = "cpu") -> NPNet:
    """The network of an artefact, in eval mode and frozen; raises `CorruptWeights` unless every tensor fits."""
    config = _read_json(folder / "config.json")
    try:
        network = NPNet(NPNetConfig.from_json(config))
        weights = load_file(folder / "model.safetensors")
        _fill(network, weights)
    except DAMAGE as error:
        raise damaged(folder / "model.safetensors", error) from error
    return network.to(device)


def load_published(file: str | Path, config: NPNetConfig) -> NPNet:
    """The network of a published .pth file; `config` is one of `PUBLISHED`.

    Nothing in the file is executed. Names that timm's Swin transformer has changed since are mapped.
    """
    path = Path(file)
    require(path)
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        network = NPNet(config)
        _fill(network, _ours(stored))
    except (*DAMAGE, pickle.UnpicklingError, EOFError) as error:
        raise damaged(path, error) from error
    return network


def _ours(stored: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a published file under our names."""
    weights = {
        f"{ours}.{name}": tensor
        for theirs, ours in PUBLISHED_PARTS.items()
        for name, tensor in stored[theirs].items()
    }
    # Until timm 0.9 a stage of the Swin ended with its downsampling; since then the next stage begins with it.
    if "residual.swin.layers.0.downsample.reduction.weight" in weights:
        weights = {
            re.sub(
                r"layers\.(\d+)\.downsample", lambda found: f"layers.{int(found[1]) + 1}.downsample", name
            ): tensor
            for name, tensor in weights.items()
        }
    weights |= {name: torch.as_tensor(stored[name]).reshape(1) for name in ("alpha", "beta")}
    return {name: tensor for name, tensor in weights.items() if not UNUSED.match(name)}


def _fill(network: NPNet, weights: Mapping[str, Tensor]) -> None:
    """Load all weights, no more and no fewer, and freeze the network for use."""
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"it holds values that are not finite, in {name!r}")
    network.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    network.eval().requires_grad_(False)


def _read_json(file: Path) -> dict[str, Any]:
    require(file)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it holds no object")
    except (OSError, ValueError) as error:
        raise CorruptWeights(f"{str(file)!r} does not read as JSON ({error}); copy it again") from None
    return content


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
