"""Getting and checking what a model needs of the hub.

    wanted    the names of a repository's files that a need takes: configurations, tokenizers, safetensors of one variant
    folder    where a need's files lie on this machine, downloaded when they are not here and the hub may be asked
    fetch     download a need and compare every file with the hub's size and hash

Only safetensors are taken; a pickle of tensors (.bin) only where a card or a user names that one file. Everything lies in
the cache that huggingface_hub shares between programs, and HF_HUB_OFFLINE=1 keeps to it. What is here is used without
asking the hub.
"""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noisekit.errors import BadValue, CorruptWeights
from noisekit.models.cache import ONE_FILE, Need, held, lacking, reason_absent
from noisekit.models.layout import SHARDS, WEIGHTS, check_headers, components, preferred, read_index

#: What a component has besides weights.
_SETTINGS = (".json", ".txt", ".model", ".jinja")

#: Weights in formats that noisekit does not read of itself.
_OTHERS = (".bin", ".pt", ".pth", ".ckpt", ".msgpack", ".onnx")


def folder(need: Need) -> Path:
    """The folder of a need's snapshot on this machine; `BadValue` where it is not, and cannot be downloaded."""
    here = held(need)
    if here is not None:
        return here
    return fetch(need)[0]


def wanted(need: Need, names: Sequence[str], index: Mapping[str, Any]) -> list[str]:
    """Those of a repository's files that a need takes; `CorruptWeights` where its weights are in no format for us."""
    if need.inside is not None and need.inside.endswith(ONE_FILE):
        return [need.inside]
    if need.inside is not None:
        return [f"{need.inside}/config.json".lstrip("/"), *_weights(need, need.inside, names)]
    chosen = ["model_index.json"]
    for part in components(index):
        own = [name for name in names if name.startswith(f"{part}/") and name.count("/") == 1]
        if part in need.without:
            chosen += [name for name in own if name == f"{part}/config.json"]
            continue
        chosen += [name for name in own if name.endswith(_SETTINGS) and not SHARDS.fullmatch(Path(name).name)]
        chosen += _weights(need, part, own)
    return chosen


def _weights(need: Need, part: str, names: Sequence[str]) -> list[str]:
    """The weight files of one network: of the variant asked for, else the plain ones, else the half-precision ones."""
    own = [name for name in names if str(Path(name).parent) == (part or ".")]
    files = [(name, WEIGHTS.fullmatch(Path(name).name) or SHARDS.fullmatch(Path(name).name)) for name in own]
    for variant in preferred(need.variant, need.exact):
        if chosen := [name for name, found in files if found and found["variant"] == variant]:
            return chosen
    if any(name.endswith(_OTHERS) for name in own) or not part:
        raise CorruptWeights(
            f"{need.repo!r} has no safetensors for {part or 'its network'!r}, and noisekit reads no pickles; convert "
            "the pipeline with its save_pretrained(folder, safe_serialization=True) and give the folder"
        )
    return []


@dataclass(frozen=True)
class Fetched:
    """What of a repository is now here: number and bytes of the files, and whether the hub's hashes agreed."""

    repo: str
    files: int
    size: int
    compared: bool


def fetch(need: Need) -> tuple[Path, Fetched]:
    """Download what is missing of a need, compare all of it with the hub, and read the headers of the weights.

    Where the hub may not or cannot be asked, what is here is only read. Raises `BadValue` with the reason where it is not
    here and cannot be downloaded, `CorruptWeights` where a file differs from the hub's even when downloaded again.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, HFValidationError, HTTPError

    if constants.HF_HUB_OFFLINE:
        return _here(need, "HF_HUB_OFFLINE is set")
    try:
        return _downloaded(need, need.revision or constants.DEFAULT_REVISION)
    except CorruptWeights:
        raise
    except GatedRepoError:
        reason = "it is gated: accept its licence on its page on the hub, then log in with `hf auth login`"
    except (OSError, HTTPError, HFValidationError) as error:
        said = str(error).strip().splitlines()
        reason = f"the hub did not give it: {said[0][:200] if said else type(error).__name__}"
    return _here(need, reason)


def _here(need: Need, reason: str) -> tuple[Path, Fetched]:
    """What is on this machine, its headers read; `BadValue` with the reason why no more can be had where it is not whole."""
    snapshot = held(need)
    if snapshot is None:
        raise BadValue(f"{reason_absent(need)}, and {reason}")
    index = read_index(snapshot) if need.pipeline else {}
    there = [str(path.relative_to(snapshot)) for path in snapshot.rglob("*") if path.is_file()]
    paths = [snapshot / name for name in wanted(need, there, index)]
    check_headers(paths)
    return snapshot, Fetched(need.repo, len(paths), sum(path.stat().st_size for path in paths), False)


def _downloaded(need: Need, revision: str) -> tuple[Path, Fetched]:
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download

    listed = HfApi().model_info(need.repo, revision=revision, files_metadata=True).siblings or []
    index: Mapping[str, Any] = {}
    if need.pipeline:
        index = read_index(Path(hf_hub_download(need.repo, "model_index.json", revision=revision)).parent)
    names = set(wanted(need, [file.rfilename for file in listed], index))
    patterns = [glob.escape(name) for name in sorted(names)]
    snapshot = Path(snapshot_download(need.repo, revision=revision, allow_patterns=patterns))
    files = [file for file in listed if file.rfilename in names]
    for file in files:
        if not _agrees(snapshot / file.rfilename, file):
            hf_hub_download(need.repo, file.rfilename, revision=revision, force_download=True)
            if not _agrees(snapshot / file.rfilename, file):
                raise CorruptWeights(
                    f"{file.rfilename!r} of {need.repo!r} differs from the hub's in size or hash, downloaded twice"
                )
    absent = sorted(names - {file.rfilename for file in files}) or lacking(need, snapshot)
    if absent:
        raise CorruptWeights(f"{need.repo!r} has no whole {absent[0]!r} at revision {revision!r}")
    check_headers([snapshot / file.rfilename for file in files])
    return snapshot, Fetched(need.repo, len(files), sum(file.size or 0 for file in files), True)


def _agrees(path: Path, file: Any) -> bool:
    """Whether a file has the size and the hash that the hub says: SHA-256 for large files, git's SHA-1 for the others."""
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    if file.lfs is not None:
        digest = hashlib.sha256()
        expected = file.lfs.sha256
    else:
        digest = hashlib.sha1(f"blob {file.size}\0".encode(), usedforsecurity=False)
        expected = file.blob_id
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest() == expected
