"""The manifest of a store: its schema, when and on what it was begun, and how noise is keyed in it."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from noisekit.errors import BadValue
from noisekit.files import parse_json
from noisekit.store.schema import check_depth

#: Raised whenever older stores would be read wrongly.
SCHEMA = 1
#: Bytes beyond which a file is no manifest.
LARGEST = 2**20

_LIBRARIES = ("noisekit", "torch", "diffusers", "transformers", "numpy", "pillow")


def new_manifest(convention: str) -> dict[str, Any]:
    """The manifest of a store that begins now on this machine."""
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return {
        "schema": SCHEMA,
        "created": created,
        "noise": convention,
        "versions": _versions(),
        "hardware": hardware(),
    }


def read_manifest(file: Path) -> dict[str, Any]:
    """What a manifest says, of any schema; raises `BadValue` where it does not read as one."""
    try:
        if not file.is_file():
            raise ValueError("it is no file")
        if file.stat().st_size > LARGEST:
            raise ValueError(f"it is larger than {LARGEST // 2**20} MiB")
        content = file.read_bytes()
        manifest = msgspec.json.decode(content, type=dict[str, Any])
        parse_json(content)  # which minds a name that stands twice
        if "schema" not in manifest:
            raise ValueError("it names no schema")
        check_depth(manifest)
    except (OSError, ValueError, RecursionError) as error:
        raise BadValue(f"{str(file)!r} does not read as the manifest of a run ({error})") from None
    return manifest


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:  # run from a checkout that is not installed
            found[library] = "unknown"
    return found


def hardware() -> dict[str, Any]:
    """What computes: this machine, the threads that are used, and the accelerator."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return machine() | {"threads": torch.get_num_threads(), "gpu": gpu}


def machine() -> dict[str, Any]:
    """Processor and cores of this machine, by which hardware is recognised without loading torch."""
    return {"cpu": _cpu(), "cores": os.cpu_count()}


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
