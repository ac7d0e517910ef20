"""LoRA weights become part of a pipeline's networks:  W ← W + s·(α/r)·B·A  for every layer that the file names.

diffusers passes over what it finds no place for, with a word in a log at most: a file made for a larger network, or cut off
while it was written, would give an image of no LoRA or of half of one. So every tensor of the file has to come up in a
layer, and every tensor of the added layers in the file.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noisekit.errors import BadValue, CorruptWeights
from noisekit.models.layout import check_headers
from noisekit.models.state import tensor_bytes

#: How the names of the two factors of a layer's change differ, in the formats that diffusers reads.
HALVES = (("lora_A", "lora_B"), ("lora.down", "lora.up"), ("lora_down", "lora_up"))

#: The name under which layers are added until they are fused.
ADAPTER = "noisekit"


def fuse(pipe: Any, place: Path, scale: float) -> None:
    """Add the LoRA of a file, or of the one file in a folder, to the pipeline's networks, and take its layers out again.

    Raises `BadValue` where a folder holds several, `CorruptWeights` where a tensor of the file finds no layer, or a layer
    lacks one of its tensors; whatever diffusers raises on other files.
    """
    file = _one_file(place)
    check_headers([file])
    _check_strengths(file)
    stored = pipe.lora_state_dict(file.parent, weight_name=file.name, use_safetensors=True)
    stored = stored[0] if isinstance(stored, tuple) else stored
    _check_converted(file, stored)
    _check_halves(file, stored)
    networks = _networks(pipe, file, stored)
    pipe.load_lora_weights(file.parent, weight_name=file.name, adapter_name=ADAPTER, use_safetensors=True)
    for name, network in networks.items():
        _check_placed(file, name, network, _part(stored, name))
    pipe.fuse_lora(components=list(networks), lora_scale=scale)
    pipe.unload_lora_weights()


def _one_file(place: Path) -> Path:
    if place.is_file():
        return place
    files = sorted(place.glob("*.safetensors"))
    if not files:
        raise CorruptWeights(f"LoRA {str(place)!r} holds no .safetensors file")
    if len(files) > 1:
        some = ", ".join(file.name for file in files[:5])
        raise BadValue(
            f"LoRA {str(place)!r} holds {len(files)} files ({some}{', …' if len(files) > 5 else ''}); name one of them, as "
            f"in lora={str(files[0])!r}"
        )
    return files[0]


def _check_strengths(file: Path) -> None:
    """Raise where a layer's α is no positive number: on some of its formats diffusers then never comes to an end."""
    from safetensors import safe_open

    with safe_open(file, "pt") as tensors:
        for name in tensors.keys():  # noqa: SIM118  # it is no mapping
            if (
                name.endswith("alpha")
                and not 0 < (alpha := float(tensors.get_tensor(name).flatten()[0])) < math.inf
            ):
                raise CorruptWeights(
                    f"LoRA {str(file)!r} has the strength {alpha:g} in {name!r}, which is no positive number; export it anew"
                )


def _check_converted(file: Path, stored: Mapping[str, Tensor]) -> None:
    """Raise where diffusers leaves some of a file's values out when it brings them into its own format."""
    from safetensors.torch import load_file

    named = {name: tensor for name, tensor in load_file(file).items() if not name.endswith("alpha")}
    read = sum(tensor.numel() for tensor in stored.values())
    lost = sum(tensor.numel() for tensor in named.values()) - read
    if lost > 0:
        unread = sorted(set(named) - set(stored))
        raise CorruptWeights(
            f"LoRA {str(file)!r} holds {lost} values that diffusers does not read, in tensors such as {unread[0]!r}; "
            "convert it to plain LoRA weights in diffusers' format"
        )


def _check_halves(file: Path, stored: Mapping[str, Tensor]) -> None:
    """Raise where one factor of a layer's change is there without the other."""
    pairs = [pair for first, second in HALVES for pair in ((first, second), (second, first))]
    wanted = {name: name.replace(own, other) for own, other in pairs for name in stored if own in name}
    alone = sorted(name for name, other in wanted.items() if other not in stored)
    if alone:
        raise CorruptWeights(
            f"LoRA {str(file)!r} is not whole: {len(alone)} of its {len(stored)} tensors lack their other half, such as "
            f"{alone[0]!r}, which needs {wanted[alone[0]]!r}; export it anew"
        )


def _networks(pipe: Any, file: Path, stored: Mapping[str, Tensor]) -> dict[str, torch.nn.Module]:
    """The networks of the pipeline that a file is for, by name; raises where a tensor is for none of them."""
    parts = [name for name in pipe._lora_loadable_modules if getattr(pipe, name, None) is not None]
    foreign = [name for name in stored if not any(name.startswith(f"{part}.") for part in parts)]
    if not stored:
        raise CorruptWeights(f"LoRA {str(file)!r} holds no weights for a {type(pipe).__name__}")
    if foreign:
        raise CorruptWeights(
            f"LoRA {str(file)!r} does not fit a {type(pipe).__name__}: {len(foreign)} of its {len(stored)} tensors, such as "
            f"{foreign[0]!r}, are for none of {', '.join(parts)}"
        )
    return {name: getattr(pipe, name) for name in parts if _part(stored, name)}


def _part(stored: Mapping[str, Tensor], network: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in stored.items() if name.startswith(f"{network}.")}


def _check_placed(file: Path, name: str, network: torch.nn.Module, stored: Mapping[str, Tensor]) -> None:
    """Raise unless the layers added to a network hold the stored tensors, all of them and nothing else.

    They are compared by value: on their way into the layers diffusers and peft name them anew, in ways of their own.
    """
    layers = {path: tensor for path, tensor in network.named_parameters() if ADAPTER in path.split(".")}
    kinds = {tensor.dtype for tensor in layers.values()}
    kind = kinds.pop() if len(kinds) == 1 else torch.float32
    added, given = (_by_value(tensors.items(), kind) for tensors in (layers, stored))
    over, lacking = given - added, added - given
    if over:
        first = next(path for path, tensor in stored.items() if _value(tensor, kind) in over)
        raise CorruptWeights(
            f"LoRA {str(file)!r} does not fit: {over.total()} of its {len(stored)} tensors for {name!r} find no layer "
            f"there, such as {first!r}; it was made for another network"
        )
    if lacking:
        first = next(path for path, tensor in layers.items() if _value(tensor, kind) in lacking)
        raise CorruptWeights(
            f"LoRA {str(file)!r} is not whole: {lacking.total()} tensors of its layers in {name!r} are missing, such as "
            f"{first.replace(f'.{ADAPTER}', '')!r}"
        )


def _by_value(tensors: Iterable[tuple[str, Tensor]], kind: torch.dtype) -> Counter[str]:
    return Counter(_value(tensor, kind) for _, tensor in tensors)


def _value(tensor: Tensor, kind: torch.dtype) -> str:
    return hashlib.sha256(
        repr(tuple(tensor.shape)).encode() + bytes(tensor_bytes(tensor.to(kind)))
    ).hexdigest()
