"""Hashes of networks' weights, and the strengths of adapters beside them.

A large network takes seconds to hash, and identities are asked for often: a hash is kept until one of the tensors is
another, lies elsewhere, was written in place, or differs at one of a few places spread over it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from noisekit.models.state import tensor_bytes

#: Values of each tensor that are looked at before a kept hash is trusted.
LOOKS = 64

_kept: WeakKeyDictionary[torch.nn.Module, tuple[list[Any], str]] = WeakKeyDictionary()


def weights_hash(network: torch.nn.Module) -> str:
    """SHA-256 over the names, types and bytes of a network's state, on whatever device it lies or waits."""
    state = network.state_dict()
    signs = [_sign(name, tensor) for name, tensor in state.items()]
    if network not in _kept or _kept[network][0] != signs:
        _kept[network] = signs, _hash(network, state)
    return _kept[network][1]


def _hash(network: torch.nn.Module, state: dict[str, Tensor]) -> str:
    if any(tensor.is_meta for tensor in state.values()):
        state |= _waiting(network)
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor_bytes(tensor))
    return digest.hexdigest()


def _sign(name: str, tensor: Tensor) -> tuple[Any, ...]:
    """What tells a tensor from the one that was hashed, at little cost; of one that waits elsewhere, type and shape."""
    about = (name, tensor.dtype, tensor.shape)
    if tensor.is_meta:
        return about
    # Writes through `.data`, as adapters are fused, raise no version.
    values = tensor.detach().reshape(-1)
    looks = values[:: max(1, len(values) // LOOKS)]
    written = 0 if tensor.is_inference() else tensor._version
    return (*about, tensor.data_ptr(), written, bytes(tensor_bytes(looks)))


def _waiting(network: torch.nn.Module) -> dict[str, Tensor]:
    """The parameters of a network whose layers accelerate keeps elsewhere until they are called."""
    from accelerate.utils import align_module_device

    found = {}
    for path, module in network.named_modules():
        with align_module_device(module, "cpu"):
            own = module.state_dict(prefix=f"{path}." if path else "")
            depth = path.count(".") + 2 if path else 1
            found.update({name: tensor for name, tensor in own.items() if name.count(".") + 1 == depth})
    return found


def adapters(networks: Mapping[str, torch.nn.Module]) -> dict[str, Any]:
    """The strengths of LoRA layers that are neither off nor fused, by network: no weight holds them. Empty without any."""
    found: dict[str, dict[str, float]] = {}
    for name, network in networks.items():
        for path, module in network.named_modules():
            if hasattr(module, "lora_A") and not module.disable_adapters and not module.merged:
                active = {adapter: module.scaling.get(adapter, 0.0) for adapter in module.active_adapters}
                found.setdefault(name, {}).update({f"{path} {adapter}": s for adapter, s in active.items()})
    return {"adapters": found} if found else {}
