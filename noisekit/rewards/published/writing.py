"""What converters write into a checkpoint folder: weights that fit their network, settings, and the tokenizer's files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from noisekit.rewards.checkpoint import DAMAGE, check_tensors, damaged, read_config
from noisekit.rewards.preprocess import CLIP_MEAN, CLIP_STD, FILE

TOKENIZER = "tokenizer_config.json"


def save_as(
    build: Callable[[], nn.Module],
    tensors: Mapping[str, Any],
    source: Path,
    target: Path,
    link: bool = False,
) -> None:
    """Write the tensors, which must be exactly those of the network that `build` makes, as safetensors.

    link: the source holds them under these names already, so that a link to it will do.
    """
    try:
        with torch.device("meta"):
            expected = build().state_dict()
    except DAMAGE as error:
        raise damaged(source, error) from error
    check_tensors(tensors, expected, source)
    if link:
        try:
            target.symlink_to(source.resolve())
            return
        except OSError:  # a file system without links
            pass
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()}, target, metadata={"format": "pt"}
    )


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
