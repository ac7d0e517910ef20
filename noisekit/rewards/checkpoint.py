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

#: What to do about a checkpoint that does not fit.
ADVICE = "check that the checkpoint is of this reward and complete"


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
    if absent := [name for name in expected if name not in tensors]:
        raise CorruptWeights(
            f"{str(file)!r} lacks {len(absent)} tensors of the network (such as {absent[0]!r}); {ADVICE}"
        )
    if extra := [name for name in tensors if name not in expected]:
        raise CorruptWeights(
            f"{str(file)!r} holds {len(extra)} entries that the network does not have (such as {extra[0]!r}); {ADVICE}"
        )
    for name, tensor in tensors.items():
        shape, found = tuple(expected[name].shape), tuple(getattr(tensor, "shape", ("no tensor",)))
        if found != shape:
            raise CorruptWeights(
                f"{str(file)!r} holds {found} where tensor {name!r} of shape {shape} was expected; {ADVICE}"
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
    return finished(filled(build, read_tensors(file), file), device, dtype)


def filled(build: Callable[[], nn.Module], tensors: Mapping[str, Any], file: Path) -> nn.Module:
    """The network that `build` makes with these tensors; `file`, which they come from, is what errors name.

    Networks of transformers inside it are filled by transformers, which knows how their tensors were named when the file was
    written; of the rest, names and shapes have to be exactly the network's own. What those inside are made with beside their
    configurations, the network says in `made_with`, by their names.
    """
    from accelerate import init_empty_weights
    from transformers import PreTrainedModel

    try:
        with init_empty_weights():  # a billion random numbers that nobody reads would take ten seconds
            network = build()
        others = dict(tensors)
        given: Any = getattr(network, "made_with", {})
        for name, part in network.named_children():
            if isinstance(part, PreTrainedModel):
                start = f"{name}."
                inside = {key[len(start) :]: others.pop(key) for key in tensors if key.startswith(start)}
                setattr(network, name, _filled_by_transformers(part, inside, file, **given.get(name, {})))
        expected = {name: tensor for name, tensor in network.state_dict().items() if tensor.is_meta}
        check_tensors(others, expected, file)
        network.load_state_dict(others, strict=False, assign=True)
    except DAMAGE as error:
        raise error if isinstance(error, CorruptWeights) else damaged(file, error) from error
    return network


def _filled_by_transformers(part: Any, tensors: Mapping[str, Any], file: Path, **made_with: Any) -> Any:
    if odd := [name for name, tensor in tensors.items() if not isinstance(tensor, Tensor)]:
        raise CorruptWeights(f"{str(file)!r} holds {odd[0]!r}, which is no tensor; {ADVICE}")
    network, unexpected = _reported(
        type(part),
        None,
        file,
        config=part.config,
        state_dict=dict(tensors),
        attn_implementation=part.config._attn_implementation,
        **made_with,
    )
    if unexpected:
        raise CorruptWeights(
            f"{str(file)!r} holds {len(unexpected)} entries that the network does not have (such as {unexpected[0]!r}); "
            f"{ADVICE}"
        )
    return network


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
    require(folder / CONFIG)
    return _reported(cls, folder, file, local_files_only=True, use_safetensors=True)


def _reported(cls: Any, source: Path | None, file: Path, **options: Any) -> tuple[Any, list[str]]:
    """What `from_pretrained` makes, and the entries that it had no use for; raises on what it misses."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()  # what it reports is asked for, and told in one sentence
    try:
        network, report = cls.from_pretrained(
            source, output_loading_info=True, ignore_mismatched_sizes=True, **options
        )
    except DAMAGE as error:
        raise damaged(file, error) from error
    finally:
        logging.set_verbosity(level)
    for key, found, expected in report.get("mismatched_keys", ()):
        raise CorruptWeights(
            f"{str(file)!r} holds {tuple(found)} where tensor {key!r} of shape {tuple(expected)} was expected; {ADVICE}"
        )
    if absent := sorted(report["missing_keys"]):
        raise CorruptWeights(
            f"{str(file)!r} lacks {len(absent)} tensors of {cls.__name__} (such as {absent[0]!r}); {ADVICE}"
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
