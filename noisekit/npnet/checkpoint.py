"""NPNet's files: artefact folders of our own, the same on a model hub, and the published .pth files.

    config.json          `NPNetConfig`
    model.safetensors    the weights, fp32
    card.json            how they were made: model, pairs, filter, losses

The identity of an artefact is a hash over the first two: the card tells, it decides nothing. That of a .pth file is a hash
of the file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from noisekit.errors import BadValue, CorruptWeights
from noisekit.files import read_json, whole, write_json
from noisekit.npnet.network import NPNet, NPNetConfig
from noisekit.npnet.published import about, load_published
from noisekit.paths import BUNDLED, given_path
from noisekit.rewards.folders import DAMAGE, damaged, read_config, require

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "card.json"

#: What names of repositories on a hub look like.
REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def find_artefact(name: str) -> Path:
    """A trained network by name: one that ships with noisekit, a folder, a published .pth file, or a hub's repository.

    Raises `BadValue` if it is none of them, or if the hub cannot be reached.
    """
    for path in (BUNDLED / name, given_path(name)):
        if path.is_file() or ((path / CONFIG).is_file() and (path / CARD).is_file()):
            return path
    if REPOSITORY.fullmatch(name) and not given_path(name).exists():
        return from_hub(name)
    raise BadValue(
        f"artefact {name!r} of npnet is neither a published .pth file nor a folder with {CONFIG}, {WEIGHTS} and {CARD}; "
        "train one with `noisekit npnet train`"
    )


@cache
def from_hub(
    repository: str,
    revision: str | None = None,
    files: tuple[str, ...] = (CONFIG, WEIGHTS, CARD),
    what: str = "npnet",
) -> Path:
    """The folder to which the files of a hub's repository were downloaded, now or earlier; `what` they are for.

    Raises `BadValue` if neither is possible.
    """
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(repository, revision=revision, allow_patterns=list(files))
    except (OSError, ValueError) as error:
        reason = re.split(r"\.\s|\n", str(error))[0] or type(error).__name__
        raise BadValue(
            f"artefact {repository!r} of {what} is no file or folder here, and no repository of that name could be read "
            f"from the hub or its cache ({reason[:200]}); give a path, or go online once"
        ) from error
    return Path(folder)


def artefact_hash(path: Path) -> str:
    """SHA-256 over configuration and weights, or over a .pth file, its first 16 digits."""
    digest = hashlib.sha256()
    for file in (path,) if path.is_file() else (path / CONFIG, path / WEIGHTS):
        require(file)
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]


def save_artefact(folder: Path, network: NPNet, card: Mapping[str, Any]) -> None:
    """Write an artefact, or leave what was there; the card last, so that a folder with a card is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    # All three are written before the first takes its place: that of the configuration, which is the innermost.
    with whole(folder / CARD) as last, whole(folder / WEIGHTS) as then, whole(folder / CONFIG) as first:
        write_json(first, network.config.json())
        save_file(weights, then)
        write_json(last, card)


def read_card(path: Path) -> dict[str, Any]:
    """How an artefact was made."""
    return about(path) if path.is_file() else _read_json(path / CARD)


def load_network(path: Path, device: torch.device | str = "cpu") -> NPNet:
    """The network of an artefact, in eval mode and frozen; raises `CorruptWeights` unless every tensor fits."""
    if path.is_file():
        return load_published(path).to(device)
    config, file = read_config(path / CONFIG, *NPNetConfig().json()), path / WEIGHTS
    require(file)
    try:
        sizes = NPNetConfig.from_json(config)
    except DAMAGE as error:
        raise damaged(path / CONFIG, error) from error
    try:
        weights: dict[str, Tensor] = load_file(file)
    except DAMAGE as error:
        raise damaged(file, error) from error
    network = NPNet.filled(sizes, weights, str(file))
    network.card = _read_json(path / CARD) if (path / CARD).is_file() else {}
    return network.to(device)


def _read_json(file: Path) -> dict[str, Any]:
    require(file)
    try:
        content = read_json(file)
        if not isinstance(content, dict):
            raise ValueError("it holds no object")
        if not isinstance(content.get("metric"), str | None):
            raise ValueError("its metric is no name")
    except (OSError, ValueError) as error:
        raise CorruptWeights(f"{str(file)!r} does not read as JSON ({error}); copy it again") from None
    return content
