"""The tensors of a module that was pickled whole, read without importing or calling anything that the file names.

What remains of such a file (see `noisekit.pickles`) is the state of the modules, as data: dictionaries with `_parameters`,
`_buffers` and `_modules`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from noisekit.errors import CorruptWeights
from noisekit.pickles import MAGIC, StandIn, Unpickler, View, reading

#: Entries of modules, and letters of a name, that are more than any network has.
MANY = 1_000_000
LONG = 1000

#: Of a module's state.
PARTS = ("_non_persistent_buffers_set", "_parameters", "_buffers", "_modules")


def read_module(file: Path) -> dict[str, Tensor]:
    """Parameters and persistent buffers of a pickled module by name, or the tensors of a pickled dictionary.

    Raises `CorruptWeights` where the file is damaged, or is no such thing.
    """
    with reading(file, Unpickler) as (root, stored):
        found = {name: view.tensor(stored) for name, view in _views(root)}
    if not found:
        raise CorruptWeights(f"{str(file)!r} holds no module and no tensors; check that it is the checkpoint")
    return found


def _views(root: Any) -> Iterator[tuple[str, View]]:
    """Names and tensors of a module and its parts, or of a dictionary."""
    if isinstance(root, dict):
        yield from ((_joined("", name), view) for name, view in root.items() if isinstance(view, View))
        return
    met: set[int] = set()
    entries = 0
    waiting = [("", root)]
    while waiting:
        prefix, module = waiting.pop()
        state = getattr(module, "state", None)
        if not isinstance(state, Mapping):
            continue
        if id(module) in met:
            raise ValueError("a module is there twice")
        met.add(id(module))
        passing = {name for name in state.get(PARTS[0], ()) if isinstance(name, str)}
        entries += sum(len(state.get(kind, ())) for kind in PARTS)
        if entries > MANY:
            raise ValueError("it has more parts than any network")
        for kind in PARTS[1:3]:
            for name, value in state.get(kind, {}).items():
                if isinstance(value, View) and (kind == "_parameters" or name not in passing):
                    yield _joined(prefix, name), value
        waiting.extend(
            (_joined(prefix, name) + ".", part) for name, part in state.get("_modules", {}).items()
        )


def _joined(prefix: str, name: Any) -> str:
    if not isinstance(name, str) or len(prefix) + len(name) > LONG:
        raise ValueError("a part has no name, or a longer one than any network's")
    return prefix + name


__all__ = ["MAGIC", "StandIn", "Unpickler", "read_module"]
