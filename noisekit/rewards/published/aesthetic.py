"""The aesthetic predictor's file: the layers of its head alone. Its tower is OpenAI's CLIP, of which the image half is kept.

    W₅ (W₄ (W₃ (W₂ (W₁ e + b₁) + b₂) + b₃) + b₄) + b₅ = w · e + b

multiplied out in double precision, since nothing stands between the layers once dropout is off.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from noisekit.errors import CorruptWeights
from noisekit.rewards.aesthetic import HEAD
from noisekit.rewards.checkpoint import check_tensors, read_network, read_tensors
from noisekit.rewards.folders import CONFIG, WEIGHTS, read_config
from noisekit.rewards.preprocess import FILE
from noisekit.rewards.published.writing import bring, write_json

#: Of the head's layers among its dropouts.
LAYERS = (0, 2, 4, 6, 7)


def convert(files: Mapping[str, Path], main: str, architecture: Mapping[str, Any], folder: Path) -> None:
    """The architecture is that of the tower's config.json; the head's follows from the widths of its tensors."""
    from transformers import CLIPVisionModelWithProjection

    config = read_config(files[CONFIG], "vision_config", "projection_dim")
    save_file(affine(files[main], config["projection_dim"]), folder / HEAD)
    vision = {**config["vision_config"], "projection_dim": config["projection_dim"]}
    write_json(vision | {"model_type": "clip_vision_model"}, folder / CONFIG)
    shutil.copyfile(files[FILE], folder / FILE)
    tower = files[WEIGHTS]
    bring(tower, folder)
    network, _ = read_network(CLIPVisionModelWithProjection, folder, tower)
    for whole in folder.glob(f"{Path(WEIGHTS).stem}*.safetensors*"):  # the text half is left out
        whole.unlink()
    network.save_pretrained(folder, max_shard_size="1TB")


def affine(file: Path, width: int) -> dict[str, Tensor]:
    """`weight` (1, width) and `bias` (1,) of a head of the published form for embeddings of `width` numbers."""
    tensors = read_tensors(file)
    rows = [tensors[name].shape[0] for name in (f"layers.{n}.bias" for n in LAYERS) if name in tensors]
    if len(rows) < len(LAYERS):
        raise CorruptWeights(
            f"{str(file)!r} lacks tensors of layers {LAYERS}; check that it is the head of the aesthetic predictor"
        )
    expected = {}
    for layer, (before, after) in zip(LAYERS, pairwise([width, *rows[:-1], 1]), strict=True):
        expected[f"layers.{layer}.weight"] = torch.empty(after, before, device="meta")
        expected[f"layers.{layer}.bias"] = torch.empty(after, device="meta")
    check_tensors(tensors, expected, file)
    weight, bias = torch.eye(width, dtype=torch.float64), torch.zeros(width, dtype=torch.float64)
    for layer in LAYERS:
        matrix = tensors[f"layers.{layer}.weight"].double()
        weight, bias = matrix @ weight, matrix @ bias + tensors[f"layers.{layer}.bias"].double()
    return {"weight": weight.float(), "bias": bias.float()}
