"""Checkpoint folders: loaded whole or not at all, and known by the hash of their files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from noisekit.errors import CorruptWeights

CONFIG = "config.json"
WEIGHTS = "model.safetensors"

#: What a damaged or foreign checkpoint raises while json, transformers, open_clip and safetensors read it.
DAMAGE = (
    OSError,
    ValueError,
    RuntimeError,
    KeyError,
    TypeError,
    AttributeError,
    AssertionError,
    SafetensorError,
)


def read_config(file: Path, *keys: str) -> dict[str, Any]:
    """The object in a JSON file, which must have these keys."""
    require(file)
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        absent = [key for key in keys if key not in config]
    except DAMAGE as error:
        raise damaged(file, error) from error
    if absent:
        raise CorruptWeights(
            f"{str(file)!r} lacks {absent[0]!r}; check that the checkpoint is of this reward and complete"
        )
    return config


def load_module(build: Callable[[], nn.Module], file: Path, device: torch.device) -> Any:
    """The network that `build` makes, filled from a safetensors file that must hold exactly its tensors: fp32, frozen."""
    require(file)
    try:
        network = build()
        network.load_state_dict(load_file(file))
    except DAMAGE as error:
        raise damaged(file, error) from error
    return finished(network, file, device)


def load_network(cls: Any, folder: Path, device: torch.device) -> Any:
    """A transformers network of class `cls` from its folder: safetensors only, fp32, frozen, every tensor found."""
    require(folder / CONFIG)
    try:
        network, report = cls.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except DAMAGE as error:
        raise damaged(folder / WEIGHTS, error) from error
    # A checkpoint that lacks tensors loads with random ones and a warning, which nobody would see in a table.
    absent = sorted(report["missing_keys"]) + sorted(str(key) for key in report.get("mismatched_keys", ()))
    if absent:
        raise CorruptWeights(
            f"{str(folder / WEIGHTS)!r} lacks {len(absent)} tensors of {cls.__name__} (such as {absent[0]!r}); "
            "check that the checkpoint is of this class and complete"
        )
    return finished(network, folder / WEIGHTS, device)


def finished(network: Any, file: Path, device: torch.device) -> Any:
    """A filled network as rewards use it: fp32, frozen, on its device; every value must be finite."""
    for name, tensor in network.named_parameters():
        if not torch.isfinite(tensor).all():
            raise CorruptWeights(f"{str(file)!r} holds values that are not finite, in {name!r}")
    return network.float().eval().requires_grad_(False).to(device)


def load_tensors(file: Path, shapes: dict[str, tuple[int, ...]], device: torch.device) -> dict[str, Tensor]:
    """The named tensors of a safetensors file, in fp32; their shapes must be as expected."""
    require(file)
    try:
        tensors = load_file(file)
    except DAMAGE as error:
        raise damaged(file, error) from error
    for name, shape in shapes.items():
        found = tuple(tensors[name].shape) if name in tensors else "nothing"
        if found != shape:
            raise CorruptWeights(
                f"{str(file)!r} holds {found} where tensor {name!r} of shape {shape} was expected; check that it "
                "belongs to this backbone"
            )
    return {name: tensors[name].float().to(device) for name in shapes}


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer that lies in a checkpoint folder, of whatever class it says."""
    from transformers import AutoTokenizer

    require(folder / "tokenizer_config.json")
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except DAMAGE as error:
        raise damaged(folder / "tokenizer.json", error) from error


def require(file: Path) -> None:
    """Raise `CorruptWeights` unless the file exists."""
    if not file.is_file():
        raise CorruptWeights(
            f"{str(file)!r} is missing; give a folder that holds the whole checkpoint, or reinstall noisekit if this "
            "is one of its own"
        )


def damaged(file: Path, error: Exception) -> CorruptWeights:
    """The error for a file that does not read."""
    reason = next(iter(str(error).splitlines()), "") or type(error).__name__
    return CorruptWeights(
        f"{str(file)!r} is missing, damaged or of another architecture ({reason[:200]}); copy it again"
    )


@cache
def folder_hash(folder: Path) -> str:
    """SHA-256 over names and contents of a folder's JSON and safetensors files, its first 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.suffix in (".json", ".safetensors", ".txt"):
            digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]
