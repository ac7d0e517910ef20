"""One network from its files, and the proof that it is whole.

The libraries know how tensors were named by those who published them, and rename them while they load; so what is missing,
of another shape, or left over is asked of their report on the loading, never of the names in the files.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from noisekit.errors import BadValue, CorruptWeights
from noisekit.models.cache import ONE_FILE
from noisekit.models.layout import ROUNDED, check_headers, check_shards, chosen, variants
from noisekit.pickles import read_pickle


def network_class(library: str, name: str) -> Any:
    """The class that an index names, where it is a network's; None for schedulers, tokenizers and unknown ones."""
    found = getattr(import_module(library), name, None) if library in ("diffusers", "transformers") else None
    return found if isinstance(found, type) and issubclass(found, torch.nn.Module) else None


def load_network(
    place: Path, cls: Any, dtype: torch.dtype, *, wished: str | None = None, exact: bool = False
) -> torch.nn.Module:
    """The network of class `cls` in a folder, from safetensors, in `dtype`.

    wished: the variant to take where it is whole; the plain files stand in for it, and rounded ones for them unless `exact`.
    Raises `CorruptWeights` where files are missing, damaged, incomplete, of
    another network, or hold values that are not finite.
    """
    found = chosen(place, wished, exact)
    if found is None:
        others = ", ".join(str(name) for name in variants(place))
        raise CorruptWeights(
            f"{str(place)!r} holds no whole safetensors"
            + (f" that will do, but {others}, rounded" if others else "")
        )
    variant, files = found
    check_headers(files)
    check_shards(place, variant)
    return _loaded(place, place, cls, dtype, variant=variant, use_safetensors=True)


def rounded(place: Path, dtype: torch.dtype, wished: str | None = None) -> str | None:
    """The variant that `load_network` takes of a folder though nobody wished it and it is coarser than `dtype`, if any."""
    found = chosen(place, wished)
    if found is None or found[0] not in ROUNDED or found[0] == wished:
        return None
    own = {"fp16": torch.float16, "bf16": torch.bfloat16}[found[0]]
    return found[0] if torch.finfo(dtype).eps < torch.finfo(own).eps else None


def load_file(place: Path, cls: Any, like: Path | None, dtype: torch.dtype) -> torch.nn.Module:
    """The network of class `cls` in one file, with the configuration of the folder `like`.

    A pickle may hold tensors and nothing else: whatever it would run is not run. Raises as `load_network`, and `BadValue` on
    files of other kinds.
    """
    if like is None or place.suffix not in ONE_FILE:
        raise BadValue(
            f"{str(place)!r} is no folder of a {cls.__name__}, nor a .safetensors or .bin file that could replace one"
        )
    if place.suffix == ".safetensors":
        check_headers([place])
    else:
        _check_pickle(place)
    with tempfile.TemporaryDirectory() as home:  # the libraries read a network from a folder
        shutil.copyfile(like / "config.json", Path(home) / "config.json")
        (Path(home) / f"diffusion_pytorch_model{place.suffix}").symlink_to(place.resolve())
        network = _loaded(Path(home), place, cls, dtype, use_safetensors=place.suffix == ".safetensors")
    network.register_to_config(_name_or_path=str(place))  # type: ignore[operator]
    return network


def _loaded(home: Path, place: Path, cls: Any, dtype: torch.dtype, **options: Any) -> torch.nn.Module:
    """The network in `home`, which holds what lies at `place`."""
    if _of_transformers(cls):
        options["ignore_mismatched_sizes"] = (
            True  # they are reported then, where diffusers names the first of itself
        )
    try:
        network, report = cls.from_pretrained(
            home, torch_dtype=dtype, local_files_only=True, output_loading_info=True, **options
        )
    except Exception as error:
        said = one_line(str(error)).split(". If you want")[0].replace(str(home), str(place))
        raise CorruptWeights(f"{str(place)!r} could not be loaded as a {cls.__name__}: {said}") from error
    check(place, network, report)
    return network


def _of_transformers(cls: Any) -> bool:
    return str(cls.__module__).startswith("transformers.")


def check(place: Path, network: torch.nn.Module, report: Mapping[str, Any]) -> None:
    """Raise `CorruptWeights` unless a report on the loading and the network itself say that all of it came from the files.

    report: "missing_keys", "mismatched_keys" and "unexpected_keys", as `from_pretrained(output_loading_info=True)` gives it.
    """
    kind = type(network).__name__
    state = network.state_dict()
    if missing := sorted(
        {*report["missing_keys"], *(name for name, tensor in state.items() if tensor.is_meta)}
    ):
        raise CorruptWeights(
            f"weights in {str(place)!r} lack {len(missing)} tensors of a {kind}, the first being {missing[0]!r}"
        )
    if mismatched := sorted(report["mismatched_keys"]):
        name, there, expected = mismatched[0]
        raise CorruptWeights(
            f"weights in {str(place)!r} do not fit its {kind}: {len(mismatched)} tensors are of another shape, such as "
            f"{name!r}, {tuple(there)} and not {tuple(expected)}"
        )
    if foreign := _foreign(network, report["unexpected_keys"]):
        raise CorruptWeights(
            f"weights in {str(place)!r} are of another network than its config.json: {len(foreign)} tensors have no place "
            f"in that {kind}, such as {foreign[0]!r}"
        )
    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise CorruptWeights(
                f"weights in {str(place)!r} hold values that are not finite, in {name!r} as "
                f"{str(tensor.dtype).removeprefix('torch.')}"
            )


def _foreign(network: torch.nn.Module, left_over: Collection[str]) -> list[str]:
    """Those tensors that no layer took and that are no harmless rest.

    Harmless are what a layer no longer keeps (old files hold position numbers), and beside a text encoder of transformers
    other towers and heads. A layer that is not there is not: the configuration is another network's.
    """
    children = dict(network.named_children())
    towers = _of_transformers(type(network))
    modules = dict(network.named_modules())

    def harmless(name: str) -> bool:
        owner, _, leaf = name.rpartition(".")
        if towers and name.partition(".")[0] not in children:
            return True
        layer = modules.get(owner) if owner else None
        return layer is not None and (leaf in layer._buffers or not hasattr(layer, leaf))

    return sorted(name for name in left_over if not harmless(name))


def _check_pickle(place: Path) -> None:
    found = read_pickle(place)
    if not (isinstance(found, dict) and all(isinstance(tensor, torch.Tensor) for tensor in found.values())):
        raise CorruptWeights(
            f"{str(place)!r} holds other things than tensors by name; give a .safetensors file"
        )


def one_line(said: str) -> str:
    """What a library says of a file, in one line; where the first only announces the others, the second with it."""
    lines = [line.strip() for line in said.splitlines() if line.strip()] or ["no reason given"]
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1])[:300]
