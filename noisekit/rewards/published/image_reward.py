"""ImageReward's file: a state dictionary of BLIP in its makers' own code, under transformers' names.

The two projections of BLIP's contrastive training take no part in the score and are left out; dropouts stand between the
layers of the published head and leave gaps in its numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from noisekit.rewards.checkpoint import read_tensors
from noisekit.rewards.folders import CONFIG, WEIGHTS
from noisekit.rewards.image_reward import ImageRewardNetwork
from noisekit.rewards.published.renaming import Rules, renamed
from noisekit.rewards.published.writing import copy_beside, save_as, write_json, write_preprocessor

IMAGE = r"blip\.visual_encoder\."
BLOCK = IMAGE + r"blocks\.(\d+)\."
LAYER = r"vision.encoder.layers.\1."

RULES: Rules = [
    (r"blip\.(vision|text)_proj\.", None),
    (r"blip\.text_encoder\.embeddings\.position_ids$", None),
    (IMAGE + r"cls_token$", "vision.embeddings.class_embedding"),
    (IMAGE + r"pos_embed$", "vision.embeddings.position_embedding"),
    (IMAGE + r"patch_embed\.proj\.", "vision.embeddings.patch_embedding."),
    (IMAGE + r"norm\.", "vision.post_layernorm."),
    (BLOCK + r"norm([12])\.", LAYER + r"layer_norm\2."),
    (BLOCK + r"attn\.qkv\.", LAYER + "self_attn.qkv."),
    (BLOCK + r"attn\.proj\.", LAYER + "self_attn.projection."),
    (BLOCK + r"mlp\.", LAYER + "mlp."),
    (r"blip\.text_encoder\.", "text."),
    *((rf"mlp\.layers\.{theirs}\.", f"mlp.{ours}.") for ours, theirs in enumerate((0, 2, 4, 6, 7))),
]


def convert(files: Mapping[str, Path], main: str, architecture: Mapping[str, Any], folder: Path) -> None:
    """architecture: `network`, the arguments of `ImageRewardNetwork`, and the score's `mean`, `std` and text `length`."""
    source = files[main]
    network = architecture["network"]
    tensors = renamed(read_tensors(source), RULES, source)
    save_as(lambda: ImageRewardNetwork(**network), tensors, source, folder / WEIGHTS)
    copy_beside(files, main, folder, "BertTokenizer")
    score = {key: architecture[key] for key in ("mean", "std", "length")}
    write_json({**network, **score}, folder / CONFIG)
    write_preprocessor(network["vision"]["image_size"], folder)
