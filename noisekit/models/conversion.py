"""SV3D-U's one published file as a folder in diffusers' format.

The file holds the tensors of three networks by the names of the code that trained them; which is which is data (sv3d.yaml).
Nothing is guessed: a tensor that the map does not know, one that the networks want and the file lacks, and one of
another shape is named, and nothing is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noisekit.errors import BadValue, CorruptWeights
from noisekit.files import shipped_yaml, whole_folder
from noisekit.models.layout import tensor_names

#: The networks in the order in which they are converted, one in memory at a time.
NETWORKS = ("vae", "image_encoder", "unet")


@cache
def key_map() -> Mapping[str, Any]:
    """What sv3d.yaml says."""
    read: Mapping[str, Any] = shipped_yaml("models/sv3d.yaml")
    return read


def convert(file: Path, folder: Path, configs: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """Write the folder of a StableVideoDiffusionPipeline from SV3D-U's published file.

    Args:
        file: the checkpoint, as safetensors.
        folder: where the pipeline goes; written whole or not at all.
        configs: of the networks and the scheduler, by name (None: the published ones).

    Raises:
        BadValue: where the file is no safetensors, or the folder is there.
        CorruptWeights: where its tensors are not those of SV3D-U.
    """
    if file.suffix != ".safetensors":
        raise BadValue(
            f"{str(file)!r} is no .safetensors file; SV3D-U is published as sv3d_u.safetensors, and pickles are not read"
        )
    if folder.exists() and any(folder.iterdir()):
        raise BadValue(f"folder {str(folder)!r} is there and not empty; give another, or take it away")
    configs = configs or key_map()["configs"]
    renamed = _sorted(file)
    with whole_folder(folder) as part:
        for name in NETWORKS:
            network = _network(name, configs[name])
            network.load_state_dict(_state(file, name, network, renamed[name]), assign=True)
            network.save_pretrained(part / name)
            del network
        _write_rest(part, configs["scheduler"])


def _sorted(file: Path) -> dict[str, dict[str, list[str]]]:
    """By network, the names in the file of those that the map knows, with their new ones; `CorruptWeights` on others."""
    found: dict[str, dict[str, list[str]]] = {name: {} for name in NETWORKS}
    foreign = []
    for old in sorted(tensor_names(file)):
        own = next((name for name in NETWORKS if old.startswith(key_map()[name]["prefix"])), None)
        new = None if own is None else renamed(own, old.removeprefix(key_map()[own]["prefix"]))
        if own is not None and new is not None:
            found[own][old] = new
        elif not any(_begins(pattern, old) for pattern in key_map()["ignored"]):
            foreign.append(old)
    if foreign:
        raise CorruptWeights(
            f"{str(file)!r} holds {len(foreign)} tensors that SV3D-U does not have, such as {foreign[0]!r}; it is another "
            "checkpoint (SV3D-P's camera and SVD's numbers do not fit), and nothing was written"
        )
    return found


def renamed(network: str, name: str) -> list[str] | None:
    """The names that a tensor of a network has in diffusers: several where it holds several side by side; None if unknown.

    Args:
        network: "unet", "vae" or "image_encoder".
        name: in the file, without the network's prefix.
    """
    table = key_map()[network]
    block, rest = _replaced(table["names"], name)
    if block is None:
        return None
    inside: Mapping[str, str] = next(
        (own for part, own in table["within"].items() if part in block.split(".")), {}
    )
    inner, left = _replaced(inside, rest)
    whole = ".".join(part for part in (block, inner, left if inner is not None else rest) if part)
    together = re.search(r"\{(.*)\}", whole)
    return (
        [whole] if together is None else [whole.replace(together[0], one) for one in together[1].split(",")]
    )


def _replaced(table: Mapping[str, str], name: str) -> tuple[str | None, str]:
    """What stands for the longest beginning of a name that a table has, and the rest; None and the name without one."""
    matches = [(found, new) for old, new in table.items() if (found := _begins(old, name))]
    if not matches:
        return None, name
    found, new = max(matches, key=lambda match: match[0].end())
    for number in found.groups():
        new = new.replace("*", number, 1)
    return new, name[found.end() :].removeprefix(".")


def _begins(pattern: str, name: str) -> re.Match[str] | None:
    """How a name begins with the whole parts of a pattern, * standing for a number."""
    parts = re.escape(pattern.removesuffix(".")).replace(r"\*", r"(\d+)")
    return re.match(rf"{parts}(?=\.|$)", name)


def _network(name: str, config: Mapping[str, Any]) -> Any:
    """A network of its class, without memory for its tensors."""
    from diffusers import AutoencoderKL, UNetSpatioTemporalConditionModel
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    with torch.device("meta"):
        if name == "image_encoder":
            return CLIPVisionModelWithProjection(CLIPVisionConfig(**config))
        return {"unet": UNetSpatioTemporalConditionModel, "vae": AutoencoderKL}[name](**config)


def _state(file: Path, name: str, network: Any, names: Mapping[str, list[str]]) -> dict[str, Tensor]:
    """The network's tensors out of the file; `CorruptWeights` where one is missing or of another shape."""
    wanted = dict(network.state_dict())
    state = {key: tensor for old, tensor in _read(file, names) for key, tensor in _split(names[old], tensor)}
    turned = key_map()[name].get("transposed", ())
    state = {key: tensor.T.contiguous() if key in turned else tensor for key, tensor in state.items()}
    passing = {key for key in wanted if key.endswith("position_ids")}
    lost = sorted(set(wanted) - set(state) - passing)
    if lost or set(state) - set(wanted):
        other = sorted(set(state) - set(wanted))
        said = f"lacks {lost[0]!r} of" if lost else f"holds {other[0]!r}, which is none of"
        raise CorruptWeights(f"{str(file)!r} {said} SV3D-U's {name}; it is not whole, or of another size")
    for key, tensor in state.items():
        if tensor.numel() != wanted[key].numel():
            raise CorruptWeights(
                f"{str(file)!r} holds {key!r} of shape {tuple(tensor.shape)} where {tuple(wanted[key].shape)} was expected"
            )
    shaped = {key: tensor.reshape(wanted[key].shape) for key, tensor in state.items()}
    length = wanted[next(iter(passing))].shape[-1] if passing else 0
    return shaped | {key: torch.arange(length)[None] for key in passing}


def _read(file: Path, names: Mapping[str, list[str]]) -> Iterator[tuple[str, Tensor]]:
    from safetensors import safe_open

    with safe_open(file, "pt") as tensors:
        for old in names:
            yield old, tensors.get_tensor(old)


def _split(names: list[str], tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """A tensor under its new names, in equal parts where there are several."""
    parts = tensor.chunk(len(names)) if len(names) > 1 else (tensor,)
    return zip(names, (part.contiguous() for part in parts), strict=True)


def _write_rest(folder: Path, levels: Mapping[str, Any]) -> None:
    """The scheduler, the picture processor and the index."""
    import json

    import diffusers
    from diffusers import EulerDiscreteScheduler
    from transformers import CLIPImageProcessor

    EulerDiscreteScheduler(**levels).save_pretrained(folder / "scheduler")
    CLIPImageProcessor().save_pretrained(folder / "feature_extractor")
    index = {
        "_class_name": "StableVideoDiffusionPipeline",
        "_diffusers_version": diffusers.__version__,
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
        "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
        "scheduler": ["diffusers", "EulerDiscreteScheduler"],
        "unet": ["diffusers", "UNetSpatioTemporalConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
