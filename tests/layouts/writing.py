"""A published repository as a snapshot in a hub cache, filled with random numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor

from tests.layouts.repositories import REPOSITORIES, Network, Repository
from tests.layouts.tokenizers import settings, text

HERE = Path(__file__).parent


def publish(cache_home: Path, repo: str, revision: str) -> Path:
    """Write all files of a repository as a download of all of it leaves them."""
    home = cache_home / f"models--{repo.replace('/', '--')}"
    folder, entry = home / "snapshots" / revision, REPOSITORIES[repo]
    text(home / "refs" / "main", revision)
    for name in entry.beside:
        text(folder / name, "not needed here")
    if entry.pipeline is not None:
        _pipeline(folder, entry)
    for place, network in entry.files.items():
        if place.endswith((".safetensors", ".bin")):
            settings((folder / place).parent / "config.json", _config(network))
            _single(folder / place, network)
        else:
            _network(folder / place, network, "diffusion_pytorch_model")
    return folder


def _pipeline(folder: Path, entry: Repository) -> None:
    named = {name: [library, kind] for name, (library, kind, _) in entry.entries.items()}
    about = {"_class_name": entry.pipeline, "_diffusers_version": "0.19.0.dev0"}
    settings(folder / "model_index.json", about | named | dict(entry.settings))
    for name, (library, _, what) in entry.entries.items():
        if isinstance(what, Network):
            _network(folder / name, what, "diffusion_pytorch_model" if library == "diffusers" else "model")
        elif isinstance(what, Mapping):
            file = {"scheduler": "scheduler_config.json", "feature_extractor": "preprocessor_config.json"}
            settings(folder / name / file.get(name, "config.json"), what)
        elif what is not None:
            what(folder / name)


def _network(folder: Path, network: Network, stem: str) -> None:
    settings(folder / "config.json", _config(network))
    for variant in network.variants:
        tensors = stored(network, variant)
        dotted = f".{variant}" if variant else ""
        if network.shards == 1:
            save_file(tensors, folder / f"{stem}{dotted}.safetensors", {"format": "pt"})
            continue
        shard_of = {}
        for i in range(network.shards):
            file = f"{stem}{dotted}-{i + 1:05d}-of-{network.shards:05d}.safetensors"
            names = sorted(tensors)[i :: network.shards]
            save_file({name: tensors[name] for name in names}, folder / file, {"format": "pt"})
            shard_of |= dict.fromkeys(names, file)
        settings(folder / f"{stem}.safetensors.index{dotted}.json", {"metadata": {}, "weight_map": shard_of})


def _single(place: Path, network: Network) -> None:
    tensors = stored(network)
    if place.suffix == ".safetensors":
        save_file(tensors, place, {"format": "pt"})
    else:  # PixArt's one-step student, which keeps what no network reads any more
        torch.save(tensors | {"caption_projection.y_embedding": torch.zeros(120, 16)}, place)


def _config(network: Network) -> Mapping[str, Any]:
    return {**_networks()[network.kind]["config"], **network.config}


def stored(network: Network, variant: str | None = None) -> dict[str, Tensor]:
    """The tensors of a network's file by their published names. Variants are rounded; non_ema is another network's."""
    rounded = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(
        variant or "", getattr(torch, network.dtype)
    )
    seed = 1 if variant == "non_ema" else 0
    return {name: _numbers(name, shape, seed, rounded) for name, shape in _shapes()[network.kind].items()}


def _numbers(name: str, shape: tuple[int, ...], seed: int, dtype: torch.dtype) -> Tensor:
    if name.endswith("position_ids"):
        return torch.arange(shape[1])[None]
    if name.endswith("num_batches_tracked"):
        return torch.tensor(7)
    if name.endswith("alpha"):
        return torch.tensor(4.0, dtype=dtype)
    generator = torch.Generator().manual_seed(seed * 2**20 + sum(map(ord, name)) * 1009 + len(name))
    noise = torch.randn(shape, generator=generator)
    near_one = name.endswith("running_var") or ("norm" in name and name.endswith("weight"))
    scale = 1 + 0.1 * noise if near_one else 0.3 * noise
    return scale.to(dtype)


@cache
def _networks() -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.safe_load((HERE / "networks.yaml").read_text(encoding="utf-8"))
    return found


@cache
def _shapes() -> Mapping[str, Mapping[str, tuple[int, ...]]]:
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    for line in (HERE / "tensors.txt").read_text(encoding="utf-8").splitlines():
        if section := re.fullmatch(r"\[(\w+)\]", line):
            shapes = found.setdefault(section[1], {})
        elif line and not line.startswith("#"):
            owner, _, leaves = line.partition(": ")
            for one, leaf in product(_each(owner), leaves.split(", ")):
                name, sizes = leaf.split(" ")
                shapes[f"{one}.{name}".removeprefix("..")] = tuple(
                    int(n) for n in sizes.split("x") if n != "-"
                )
    return found


def _each(owner: str) -> list[str]:
    """The layers that {0..26} in a name stands for, or the one that it names."""
    if not (span := re.search(r"\{0\.\.(\d+)\}", owner)):
        return [owner]
    return [owner.replace(span[0], str(i)) for i in range(int(span[1]) + 1)]
