"""A CLIP in transformers' own format, as PickScore and the towers of CLIPScore are published: read as it is.

Weights that are safetensors already, in one file or in several, are linked and not copied. Their tensors keep the names that
their publishers gave them: what is missing of the network, or too much, is asked of transformers, which reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from noisekit.errors import CorruptWeights
from noisekit.rewards.checkpoint import read_network
from noisekit.rewards.folders import CONFIG, read_config
from noisekit.rewards.published.writing import bring, copy_beside


def convert(files: Mapping[str, Path], main: str, architecture: Mapping[str, Any], folder: Path) -> None:
    """The network is that of the files' config.json; so are tokenizer and preprocessor. architecture: the `crop`."""
    from transformers import CLIPModel

    source = files[main]
    read_config(files[CONFIG], "text_config", "vision_config")
    copy_beside(files, main, folder, "CLIPTokenizer", architecture.get("crop"))
    bring(source, folder)
    _, extra = read_network(CLIPModel, folder, source)
    if extra:
        raise CorruptWeights(
            f"{str(source)!r} holds {len(extra)} entries that the network does not have (such as {extra[0]!r}); check that "
            "the checkpoint is of this reward and complete"
        )
