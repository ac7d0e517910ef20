"""Checkpoints: networks and tensors loaded whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from tqdm.auto import tqdm

from noisekit.errors import CorruptWeights
from noisekit.pickles import read_pickle
from noisekit.rewards.folders import CONFIG, DAMAGE, WEIGHTS, damaged, require, shards


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, of a dictionary that torch has pickled, or of all files that an index names;
    nothing that a pickle names is run.
    """
    require(file)
    if file.suffix == ".json":
        return {name: tensor for shard in shards(file) for name, tensor in read_tensors(shard).items()}
    if file.suffix != ".safetensors":
        content = read_pickle(file)
    else:
        try:
            content = load_file(file)
        except DAMAGE as error:
            raise damaged(file, error) from error
    if not isinstance(content, dict):
        raise CorruptWeights(f"{str(file)!r} holds a {type(content).__name__} and no dictionary of tensors")
    return content


def check_tensors(tensors: Mapping[str, Any], expected: Mapping[str, Tensor], file: Path) -> None:
    """Raise `CorruptWeights` unless the tensors are exactly those of a network, in name and shape, and finite."""
    advice = "check that the checkpoint is of this reward and complete"
    if absent := [name for name in expected if name not in tensors]:
        raise CorruptWeights(
            f"{str(file)!r} lacks {len(absent)} tensors of the network (such as {absent[0]!r}); {advice}"
        )
    if extra := [name for name in tensors if name not in expected]:
        raise CorruptWeights(
            f"{str(file)!r} holds {len(extra)} entries that the network does not have (such as {extra[0]!r}); {advice}"
        )
    for name, tensor in tensors.items():
        shape, found = tuple(expected[name].shape), tuple(getattr(tensor, "shape", ("no tensor",)))
        if found != shape:
            raise CorruptWeights(
                f"{str(file)!r} holds {found} where tensor {name!r} of shape {shape} was expected; {advice}"
            )
    check_finite(tensors, file)


def check_finite(tensors: Mapping[str, Tensor], file: Path) -> None:
    """Raise `CorruptWeights` on a value that is NaN or infinite."""
    for name, tensor in tqdm(tensors.items(), desc=f"checking {file.name}", leave=False, disable=None):
        if not torch.isfinite(tensor).all():
            raise CorruptWeights(f"{str(file)!r} holds values that are not finite, in {name!r}")


def load_module(
    build: Callable[[], nn.Module], file: Path, device: torch.device, dtype: torch.dtype = torch.float32
) -> Any:
    """The network that `build` makes, filled from a safetensors file that must hold exactly its tensors, and frozen."""
    from accelerate import init_empty_weights

    tensors = read_tensors(file)
    try:
        with init_empty_weights():  # a billion random numbers that nobody reads would take ten seconds
            network = build()
        check_tensors(tensors, network.state_dict(), file)
        network.load_state_dict(tensors, assign=True)
    except DAMAGE as error:
        raise error if isinstance(error, CorruptWeights) else damaged(file, error) from error
    return finished(network, device, dtype)


def load_network(cls: Any, folder: Path, device: torch.device, dtype: torch.dtype = torch.float32) -> Any:
    """A transformers network of class `cls` from its folder: safetensors only, frozen, every tensor found."""
    network, _ = read_network(cls, folder, folder / WEIGHTS)
    return finished(network, device, dtype)


def read_network(cls: Any, folder: Path, file: Path) -> tuple[Any, list[str]]:
    """A transformers network, and the entries of its checkpoint that it has no use for; `file` is what errors name.

    Files hold the names that their publishers wrote, which transformers knows how to read: so it is asked what it has
    missed, and nobody here compares names. A checkpoint that lacks tensors loads with random ones and a warning, which
    nobody would see in a table.
    """
    from transformers.utils import logging

    require(folder / CONFIG)
    level = logging.get_verbosity()
    logging.set_verbosity_error()  # what it reports is asked for, and told in one sentence
    try:
        network, report = cls.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    except DAMAGE as error:
        raise damaged(file, error) from error
    finally:
        logging.set_verbosity(level)
    advice = "check that the checkpoint is of this class and complete"
    for key, found, expected in report.get("mismatched_keys", ()):
        raise CorruptWeights(
            f"{str(file)!r} holds {tuple(found)} where tensor {key!r} of shape {tuple(expected)} was expected; {advice}"
        )
    if absent := sorted(report["missing_keys"]):
        raise CorruptWeights(
            f"{str(file)!r} lacks {len(absent)} tensors of {cls.__name__} (such as {absent[0]!r}); {advice}"
        )
    check_finite(dict(network.named_parameters()), file)
    return network, sorted(report["unexpected_keys"])


def finished(network: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """A filled network as rewards use it: frozen, on its device, of one precision."""
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.is_floating_point():
            # A scalar, such as logit_scale, multiplies the final product, which is always made in fp32. Copied, since
            # what was read may still be a view of the file.
            tensor.data = tensor.data.to(device, dtype if tensor.dim() else torch.float32, copy=True)
    return network.eval().requires_grad_(False).to(device)


def load_tensors(file: Path, shapes: dict[str, tuple[int, ...]], device: torch.device) -> dict[str, Tensor]:
    """The named tensors of a safetensors file, in fp32; their shapes must be as expected."""
    require(file)
    try:
        tensors = load_file(file)
    except DAMAGE as error:
        raise damaged(file, error) from error
    for name, shape in shapes.items():
        found = tuple(tensors[name].shape) if name in tensors else "nothing"
        if found != shape:
            raise CorruptWeights(
                f"{str(file)!r} holds {found} where tensor {name!r} of shape {shape} was expected; check that it "
                "belongs to this backbone"
            )
    return {name: tensors[name].float().to(device) for name in shapes}


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer that lies in a checkpoint folder, of whatever class it says."""
    from transformers import AutoTokenizer

    require(folder / "tokenizer_config.json")
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except DAMAGE as error:
        raise damaged(folder / "tokenizer.json", error) from error
