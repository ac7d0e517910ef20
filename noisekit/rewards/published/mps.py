"""MPS's files: the official pickle of the whole module, and a public safetensors version with the same names.

The pickle is read by an unpickler that imports nothing. What it calls a bias of the norms is a constant zero, and the rotary
frequencies are those of the formula: both are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from noisekit.rewards.checkpoint import read_tensors
from noisekit.rewards.folders import CONFIG, WEIGHTS, require
from noisekit.rewards.mps import CONDITIONS, MPSNetwork
from noisekit.rewards.published.pickled import read_module
from noisekit.rewards.published.renaming import Rules, renamed
from noisekit.rewards.published.writing import copy_beside, save_as, write_json

CROSS = r"cross_model\.layers\.(\d+)\.0\.fn\."
OWN = r"cross_model\.layers\.(\d+)\.1\.fn\."

RULES: Rules = [
    (r"model\.(text|vision)_model\.embeddings\.position_ids$", None),
    (r"model\.", "clip."),
    (r"cross_model\..*\.(norm\.bias|rotary_emb\.inv_freq)$", None),
    *(
        (start + theirs + r"\.", rf"cross.layers.\1.{part}.{ours}.")
        for start, part, names in (
            (
                CROSS,
                "cross",
                {
                    "norm": "norm",
                    "to_q": "query",
                    "to_kv": "key_value",
                    "to_out": "out",
                    r"ff\.0": "widen",
                    r"ff\.2": "narrow",
                },
            ),
            (
                OWN,
                "own",
                {"norm": "norm", "fused_attn_ff_proj": "fused", "attn_out": "out", r"ff_out\.1": "narrow"},
            ),
        )
        for theirs, ours in names.items()
    ),
]


def convert(files: Mapping[str, Path], main: str, architecture: Mapping[str, Any], folder: Path) -> None:
    """architecture: `clip` and `cross`, as `MPSNetwork` takes them. The condition is "overall", the threshold 0.01."""
    source = files[main]
    require(source)
    found = read_tensors(source) if source.suffix == ".safetensors" else read_module(source)
    tensors = renamed(found, RULES, source)
    save_as(lambda: MPSNetwork(**architecture), tensors, source, folder / WEIGHTS)
    copy_beside(files, main, folder, "CLIPTokenizer", "floor")
    write_json({**architecture, "condition": CONDITIONS["overall"], "threshold": 0.01}, folder / CONFIG)
