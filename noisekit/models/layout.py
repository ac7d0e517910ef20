"""How a pipeline lies in its folder, and which of its components are whole.

model_index.json names library and class of every component, each of which has a folder of its own. A network's weights are
one file, or shards with an index that names them, plain or of a variant:

    model.safetensors                      model-00001-of-00002.safetensors ...       model.safetensors.index.json
    model.fp16.safetensors                 model.fp16-00001-of-00002.safetensors ...  model.safetensors.index.fp16.json

and "diffusion_pytorch_model" instead of "model" in the networks of diffusers. A download for one variant often brings the
index of another one, whose shards are not here: a variant counts only when it is whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from noisekit.errors import CorruptWeights

_STEM = r"(?P<stem>diffusion_pytorch_model|model)"
WEIGHTS = re.compile(_STEM + r"(\.(?P<variant>\w+))?(?P<shard>-\d+-of-\d+)?\.safetensors")
SHARDS = re.compile(_STEM + r"\.safetensors\.index(\.(?P<variant>\w+))?\.json")

#: Variants whose numbers are rounded, in the order in which they stand in for files that are not here.
ROUNDED = ("fp16", "bf16")

#: What a tokenizer's vocabulary may be: one of these sets of files.
_VOCABULARIES = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("vocab.txt",), ("*.model",))


def read_index(snapshot: Path) -> Mapping[str, Any]:
    """The model_index.json of a pipeline's folder; `CorruptWeights` when it is none or does not read."""
    path = snapshot / "model_index.json"
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(index, Mapping) and isinstance(index.get("_class_name"), str):
            return index
    except (OSError, ValueError):
        pass
    raise CorruptWeights(f"{str(path)!r} is missing or is no index of a diffusers pipeline")


#: Components of a pipeline that have no part in making an image from text, and the pipelines that read an image by them.
IDLE = ("safety_checker", "feature_extractor", "image_encoder")
READING = ("StableVideoDiffusionPipeline",)


def idle(kind: type | str) -> tuple[str, ...]:
    """The components of a pipeline, by its class or the name of that, that have no part in what it makes."""
    names = [kind] if isinstance(kind, str) else [cls.__name__ for cls in kind.__mro__]
    return () if set(names) & set(READING) else IDLE


def components(index: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Library and class of the components that a pipeline's index names and that what it makes needs."""
    unused = idle(str(index.get("_class_name")))
    return {
        name: (value[0], value[1])
        for name, value in index.items()
        if isinstance(value, list) and [type(part) for part in value] == [str, str] and name not in unused
    }


def is_index(snapshot: Path) -> bool:
    """Whether a folder holds the index of a pipeline."""
    try:
        return bool(read_index(snapshot))
    except CorruptWeights:
        return False


def preferred(wished: str | None, exact: bool) -> tuple[str | None, ...]:
    """The variants that will do, the best first: the one wished, the plain files, and the rounded ones unless `exact`."""
    order = (None,) if exact else (wished, None, *ROUNDED)
    return tuple(dict.fromkeys(order))


def chosen(
    folder: Path, wished: str | None = None, exact: bool = False
) -> tuple[str | None, list[Path]] | None:
    """The variant to load of a network's folder, and its weight files; None where none that will do is whole."""
    there = variants(folder)
    return next(((name, there[name]) for name in preferred(wished, exact) if name in there), None)


def variants(folder: Path) -> Mapping[str | None, list[Path]]:
    """The whole variants of a network's folder with their weight files; None is the name of the plain one."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    single = {
        found["variant"]: [folder / name]
        for name in names
        if (found := WEIGHTS.fullmatch(name)) and not found["shard"]
    }
    sharded = {
        found["variant"]: _shards(folder / name) for name in names if (found := SHARDS.fullmatch(name))
    }
    whole = {name: files for name, files in (single | sharded).items() if files}
    return {name: files for name, files in whole.items() if all(file.is_file() for file in files)}


def _shards(index: Path) -> list[Path]:
    """The files that the index of a sharded network names; none where it does not read."""
    return [index.parent / name for name in sorted(set(weight_map(index).values()))]


def weight_map(index: Path) -> Mapping[str, str]:
    """The shard of each tensor by the index of a sharded network; empty where the index does not read."""
    try:
        found = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return {str(tensor): str(file) for tensor, file in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def is_whole(component: Path, wished: str | None = None, exact: bool = False) -> bool:
    """Whether a component's folder holds its settings and, of a network, weights that will do; of a tokenizer, its words."""
    if (component / "config.json").is_file():
        return chosen(component, wished, exact) is not None
    if (component / "tokenizer_config.json").is_file():
        return any(
            all(any(file.is_file() for file in component.glob(name)) for name in names)
            for names in _VOCABULARIES
        )
    return any(file.is_file() for file in component.glob("*config.json")) and not variants(component)


def check_headers(files: Sequence[Path]) -> None:
    """Read the header of every safetensors file; `CorruptWeights` names the first that does not read."""
    for path in files:
        if path.suffix == ".safetensors" and not tensor_names(path):
            raise CorruptWeights(f"{str(path)!r} holds no tensors")


def tensor_names(path: Path) -> set[str]:
    """The names in a safetensors file's header; `CorruptWeights` where the file is not whole."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as tensors:
            return set(tensors.keys())
    except (SafetensorError, OSError) as error:
        raise CorruptWeights(f"{str(path)!r} is no whole safetensors file: {error}") from None


def check_shards(folder: Path, variant: str | None) -> None:
    """Raise `CorruptWeights` where an index promises a tensor that its shard does not hold: libraries trust the index."""
    for index in folder.iterdir():
        found = SHARDS.fullmatch(index.name)
        if found is None or found["variant"] != variant:
            continue
        promised = weight_map(index)
        held = {name: tensor_names(folder / name) for name in set(promised.values())}
        lost = sorted(tensor for tensor, file in promised.items() if tensor not in held[file])
        if lost:
            raise CorruptWeights(
                f"{str(folder / promised[lost[0]])!r} lacks {len(lost)} tensors that {index.name!r} promises, such as "
                f"{lost[0]!r}"
            )
