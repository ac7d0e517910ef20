"""What an object holds, as JSON values: the ground on which everything that decides an image is hashed.

Configurations say how a network was built. What was done to it since then shows in its layers' attributes: FreeU's scales,
an adapter that is off, tiling, another attention processor. A list of such switches would miss the next one, so every
attribute of every layer is compared with that of a network freshly made of the configuration. Values are told alike in every
process and on every machine: classes and functions by name, objects by class and attributes, sets in order, and never an
address.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor

#: Names of settings and attributes that tell where something comes from, or how it is computed but not what.
IDLE_NAMES = frozenset(
    {
        *("transformers_version", "peft_version", "name_or_path", "base_model_name_or_path", "architectures"),
        *("dtype", "torch_dtype"),  # the tensors' own types count
        *("training", "gradient_checkpointing", "_gradient_checkpointing_func", "use_slicing"),
        "_is_hf_initialized",
        "lora_scale",  # that of the last fusing; layers that are active have their own
        *("warnings_issued", "deprecation_warnings", "verbose", "init_inputs", "init_kwargs", "files_loaded"),
    }
)

#: Attributes by which torch keeps a module, and those under which accelerate wraps one that comes to its device when called.
MACHINERY = frozenset({*vars(torch.nn.Module()), "_hf_hook", "_old_forward"})

#: Those of torch's that change what a module computes.
HOOKS = ("_forward_pre_hooks", "_forward_hooks")

#: Changes of a network that are told one by one.
READABLE = 40

#: The layers of networks freshly made, by class and configuration.
_made: dict[tuple[type, str], Mapping[str, Mapping[str, Any]]] = {}

#: How the text of an object that tells nothing but its address reads.
_ADDRESS = re.compile(r"0x[0-9a-f]+")


def hashed(values: Any) -> str:
    """SHA-256 over canonical JSON."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def settings(config: Any, owner: type | None = None, without: Collection[str] = ()) -> dict[str, Any]:
    """What a configuration of diffusers, transformers or peft says that can matter, but for its class's defaults.

    Defaults are left out because every release of these libraries adds settings that change nothing until they are set.
    owner: the class that takes them as arguments. without: names to leave out.
    """
    values = config if isinstance(config, Mapping) else _own_words(config)
    usual = _usual(owner) if owner else {}
    return {
        str(name): told
        for name, value in values.items()
        if name not in without and name not in IDLE_NAMES and not str(name).startswith("_")
        for told in [settings(value) if isinstance(value, Mapping) else plain(value)]
        if name not in usual or told != plain(usual[name])
    }


def _own_words(config: Any) -> Mapping[str, Any]:
    """A configuration object as a mapping, but for its defaults where it can tell them."""
    values: Mapping[str, Any] = (config.to_diff_dict if hasattr(config, "to_diff_dict") else config.to_dict)()
    return values


def _usual(owner: type) -> dict[str, Any]:
    """The defaults of a class's arguments."""
    arguments = inspect.signature(owner).parameters.values()
    return {one.name: one.default for one in arguments if one.default is not one.empty}


def changes(network: torch.nn.Module) -> dict[str, Any]:
    """What tells the layers of a network from those of one freshly made of its configuration, by dotted name.

    Class, attributes and hooks of each layer count, and the shapes of buffers that are in no file and of tensors that a
    layer of this class computes for itself. None is no value: who turns a switch off again may leave that behind. Empty if
    nothing was changed; many changes are told by a hash.
    """
    own, fresh = _layers(network), _fresh(network)
    found = {
        f"{path}.{name}".lstrip("."): value
        for path in dict.fromkeys([*fresh, *own])
        for name in dict.fromkeys([*fresh.get(path, {}), *own.get(path, {})])
        for value in [own.get(path, {}).get(name)]
        if not _as_made(value, fresh.get(path, {}), name)
    }
    return found if len(found) <= READABLE else {"hash": hashed(found)}


def _as_made(value: Any, fresh: Mapping[str, Any] | Sequence[Any], name: Any) -> bool:
    """Whether a value is that at `name` in what is told of a fresh layer, or a tensor where that has room for one.

    Fresh layers are made without memory, and some compute tables when they are first called.
    """
    if isinstance(fresh, Mapping) and name not in fresh:
        return value is None
    made = fresh[name]
    if _tells_tensor(value) and _tells_tensor(made):
        return bool(value[:2] == made[:2])
    if isinstance(value, Mapping) and isinstance(made, Mapping):
        return all(_as_made(value.get(key), made, key) for key in {**made, **value})
    if isinstance(value, list) and isinstance(made, list) and len(value) == len(made):
        return all(_as_made(part, made, i) for i, part in enumerate(value))
    computed = value if isinstance(value, list) and not _tells_tensor(value) else [value]
    return bool(value == made or (made is None and all(map(_tells_tensor, computed))))


def _tells_tensor(value: Any) -> bool:
    """Whether a value is what `plain` says of a tensor."""
    return isinstance(value, list) and len(value) in (2, 3) and str(value[0]).startswith("torch.")


def _layers(network: torch.nn.Module) -> dict[str, dict[str, Any]]:
    known = {id(getattr(network, "config", None)): "config"}
    return {path: _attributes(module, known) for path, module in network.named_modules()}


def _fresh(network: torch.nn.Module) -> Mapping[str, Mapping[str, Any]]:
    """The layers of a network of this class and configuration as it is made; none where that cannot be made anew."""
    config: Any = getattr(network, "config", None)
    if config is None:
        return {}
    key = type(network), hashed(settings(config))
    if key not in _made:
        try:
            with torch.device("meta"):
                made = _anew(network, config)
        except Exception:  # whatever a class of somebody's own needs beside its configuration
            return {}
        _made[key] = _layers(made.eval())
    return _made[key]


def _anew(network: torch.nn.Module, config: Any) -> torch.nn.Module:
    kind: Any = type(network)
    made: torch.nn.Module = (
        kind.from_config(config) if isinstance(config, Mapping) else kind(copy.deepcopy(config))
    )
    return made


def _attributes(module: torch.nn.Module, known: dict[int, Any]) -> dict[str, Any]:
    values = vars(module)
    # What a library notes on a network that it loads itself begins with an underscore.
    loads = hasattr(module, "from_pretrained")
    wrapped = "_hf_hook" in values
    found = {
        name: plain(value, known)
        for name, value in values.items()
        if name not in MACHINERY
        and name not in IDLE_NAMES
        and not (loads and name.startswith("_"))
        and not (wrapped and name == "forward")
    }
    hooks = {name: [plain(hook, known) for hook in _hooks(values[name])] for name in HOOKS if values[name]}
    passing = sorted(name for name in module._non_persistent_buffers_set if module._buffers[name] is not None)
    shapes = {name: list(module.get_buffer(name).shape) for name in passing}
    return (
        found
        | {name: value for name, value in hooks.items() if value}
        | shapes
        | {"class": type(module).__qualname__}
    )


def _hooks(registered: Mapping[int, Any]) -> list[Any]:
    """Hooks in their order, without those by which transformers reads hidden states off when they are first asked for."""
    return [hook for hook in registered.values() if not _module_of(hook).startswith("transformers.")]


def _module_of(hook: Any) -> str:
    return str(getattr(hook, "__module__", ""))


def tokenizer_state(tokenizer: Any) -> str:
    """Hash over a tokenizer's words, how it splits and normalises texts, what it adds, where it pads and cuts.

    Its attributes count unless they are empty, as those are that a release of transformers adds. A processor, which reads
    pictures too, counts with its tokenizer and its own template.
    """
    if hasattr(tokenizer, "tokenizer"):
        return hashed([tokenizer_state(tokenizer.tokenizer), tokenizer.chat_template])
    rules = getattr(tokenizer, "backend_tokenizer", None)
    values = {
        name: plain(value)
        for name, value in vars(tokenizer).items()
        if value and not name.startswith("_") and name not in IDLE_NAMES
    }
    special = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    words = sorted(tokenizer.get_vocab().items())
    rules = type(tokenizer).__qualname__ if rules is None else plain(rules)
    return hashed([values, special, words, rules, tokenizer.pad_token_type_id])


def plain(value: Any, known: dict[int, Any] | None = None) -> Any:
    """Any value as JSON values. known: what stands for objects that were met before, by id; it is added to."""
    known = {} if known is None else known
    match value:
        case Enum():
            return f"{type(value).__qualname__}.{value.name}"
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)  # JSON knows no infinity
        case Tensor() | np.ndarray():
            return _tensor(torch.as_tensor(value))
        case np.generic():
            return plain(value.item())
        case Mapping():
            return {str(plain(key, known)): plain(item, known) for key, item in value.items()}
        case set() | frozenset():
            return sorted((plain(item, known) for item in value), key=repr)
        case list() | tuple():
            return [plain(item, known) for item in value]
        case bytes():
            return hashlib.sha256(value).hexdigest()
        case type() | BuiltinFunctionType():
            return value.__qualname__
        case torch.nn.Module():  # a layer of the network has its own place in the walk
            return type(value).__qualname__
        case torch.device():
            return "device"
    if id(value) not in known:
        known[id(value)] = type(value).__qualname__  # where it refers to itself
        known[id(value)] = _object(value, known)
    return known[id(value)]


def _object(value: Any, known: dict[int, Any]) -> Any:
    """A function with what it has bound, else class and attributes, or what the object writes of itself."""
    match value:
        case FunctionType():
            cells = [cell.cell_contents for cell in value.__closure__ or () if not _is_empty(cell)]
            return [value.__qualname__, plain(cells, known), plain(value.__defaults__, known)]
        case MethodType():
            return [type(value.__self__).__qualname__, value.__name__]
        case partial():
            return ["partial", *(plain(part, known) for part in (value.func, value.args, value.keywords))]
    kind = type(value).__qualname__
    if hasattr(value, "serialized_model_proto"):  # of sentencepiece
        return [kind, plain(value.serialized_model_proto())]
    if hasattr(value, "to_str") and hasattr(value, "from_str"):  # of tokenizers
        passing = ("version", "truncation", "padding")  # each call sets the last two anew
        return [kind, {k: v for k, v in json.loads(value.to_str()).items() if k not in passing}]
    if hasattr(value, "to_dict"):
        return [kind, settings(value)]
    if hasattr(value, "__dict__"):
        return [kind, _described(value, known)]
    return kind if _ADDRESS.search(repr(value)) else repr(value)


def _described(value: Any, known: dict[int, Any]) -> dict[str, Any]:
    """An object's attributes, and its configuration where diffusers keeps one for it."""
    values = {name: own for name, own in vars(value).items() if name not in IDLE_NAMES}
    config = values.pop("_internal_dict", {})
    return settings(config, type(value)) | {name: plain(own, known) for name, own in values.items()}


def _is_empty(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return True
    return False


def _tensor(tensor: Tensor) -> list[Any]:
    """Type and shape of a tensor, and a hash of its bytes unless it waits elsewhere."""
    kind = [str(tensor.dtype), list(tensor.shape)]
    return kind if tensor.is_meta else [*kind, hashlib.sha256(tensor_bytes(tensor)).hexdigest()]


def tensor_bytes(tensor: Tensor) -> Any:
    """The bytes of a tensor, as a buffer."""
    return tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()
