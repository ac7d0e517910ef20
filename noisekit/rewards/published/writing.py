"""What converters write into a checkpoint folder: weights that fit their network, settings, and the tokenizer's files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from noisekit.errors import CorruptWeights
from noisekit.rewards.checkpoint import filled, read_tensors
from noisekit.rewards.folders import WEIGHTS, read_config, require, shards
from noisekit.rewards.preprocess import CLIP_MEAN, CLIP_STD, FILE

TOKENIZER = "tokenizer_config.json"


def save_as(build: Callable[[], nn.Module], tensors: Mapping[str, Any], source: Path, target: Path) -> None:
    """Write the tensors, which must be exactly those of the network that `build` makes, as safetensors."""
    filled(build, tensors, source)
    _save(tensors, source, target)


def _save(tensors: Mapping[str, Any], source: Path, target: Path) -> None:
    if odd := [name for name, tensor in tensors.items() if not isinstance(tensor, Tensor)]:
        raise CorruptWeights(
            f"{str(source)!r} holds {str(odd[0])!r}, which is no tensor; check that it is the checkpoint"
        )
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(whole, target, metadata={"format": "pt"})


def bring(source: Path, folder: Path) -> None:
    """Put weights into a folder as transformers looks for them there: safetensors as links, pickles as safetensors."""
    if source.name.endswith(".safetensors.index.json"):
        (folder / f"{WEIGHTS}.index.json").write_bytes(source.read_bytes())
        for shard in shards(source):
            require(shard)
            _link(shard, folder / shard.name)
    elif source.suffix == ".safetensors":
        require(source)
        _link(source, folder / WEIGHTS)
    else:
        _save(read_tensors(source), source, folder / WEIGHTS)


def _link(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source.resolve())
    except OSError:  # a file system without links
        shutil.copyfile(source, target)


def write_json(content: Mapping[str, Any], file: Path) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_preprocessor(size: int, folder: Path) -> None:
    """CLIP's preparation for a side of `size` pixels, where the files bring none."""
    write_json(
        {"size": {"shortest_edge": size}, "image_mean": CLIP_MEAN, "image_std": CLIP_STD}, folder / FILE
    )


def copy_beside(
    files: Mapping[str, Path], main: str, folder: Path, tokenizer: str, crop: str | None = None
) -> None:
    """Copy all files but the weights.

    tokenizer: the class of those whose configuration leaves it to the model's; crop: what `Preprocess` splits an odd margin
    by, where that is not its default.
    """
    for name, path in files.items():
        if name == TOKENIZER:
            write_json({"tokenizer_class": tokenizer} | read_config(path), folder / name)
        elif name == FILE and crop:
            write_json(read_config(path) | {"crop": crop}, folder / name)
        elif name != main:
            shutil.copyfile(path, folder / name)
