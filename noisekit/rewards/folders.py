"""A checkpoint's folder: its settings, the files that its index names, and the hash that it is known by. No torch here."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from noisekit.errors import CorruptWeights
from noisekit.files import read_json

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
#: Where a folder that was made of published files says which they were.
SOURCES = "sources.json"

#: What a damaged or foreign checkpoint raises while json, transformers, open_clip and safetensors read it.
DAMAGE = (
    OSError,
    ValueError,
    RuntimeError,
    KeyError,
    TypeError,
    AttributeError,
    AssertionError,
    SafetensorError,
)


def read_config(file: Path, *keys: str) -> dict[str, Any]:
    """The object in a JSON file, which must have these keys."""
    require(file)
    try:
        config: dict[str, Any] = read_json(file)
        if not isinstance(config, dict):
            raise ValueError("it holds no object")
        absent = [key for key in keys if key not in config]
    except DAMAGE as error:
        raise damaged(file, error) from error
    if absent:
        raise CorruptWeights(
            f"{str(file)!r} lacks {absent[0]!r}; check that the checkpoint is of this reward and complete"
        )
    return config


def shards(index: Path) -> list[Path]:
    """The files that an index of a checkpoint in several files names, which lie beside it."""
    names = read_config(index, "weight_map")["weight_map"]
    if not isinstance(names, dict) or not all(
        isinstance(name, str) and Path(name).name == name for name in names.values()
    ):
        raise CorruptWeights(f"{str(index)!r} names files that do not lie beside it; copy it again")
    return [index.parent / name for name in sorted(set(names.values()))]


def require(file: Path) -> None:
    """Raise `CorruptWeights` unless the file exists."""
    if not file.is_file():
        raise CorruptWeights(
            f"{str(file)!r} is missing; give a folder that holds the whole checkpoint, or reinstall noisekit if this "
            "is one of its own"
        )


def damaged(file: Path, error: Exception) -> CorruptWeights:
    """The error for a file that does not read."""
    reason = next(iter(str(error).splitlines()), "") or type(error).__name__
    return CorruptWeights(
        f"{str(file)!r} is missing, damaged or of another architecture ({reason[:200]}); copy it again"
    )


@cache
def folder_hash(folder: Path) -> str:
    """SHA-256 over names and contents of a folder's JSON and safetensors files, its first 16 hexadecimal digits.

    A folder made of published files is known by their hashes, which it keeps: the same on every machine, and gigabytes need
    not be read for it.
    """
    digest = hashlib.sha256()
    made = folder / SOURCES
    for file in [made] if made.is_file() else sorted(folder.iterdir()):
        if file.suffix in (".json", ".safetensors", ".txt"):
            digest.update(file.name.encode() + b"\0" + bytes.fromhex(blob(file) or _sha256(file)))
    return digest.hexdigest()[:16]


def blob(file: Path) -> str:
    """The SHA-256 under which a hub's cache keeps a large file, "" for others."""
    real = file.resolve()
    return real.name if real.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", real.name) else ""


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
