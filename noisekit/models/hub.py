"""Files on the hub: which ones a model needs, whether they are here, and getting and checking them.

    need      a repository and what of it: a whole pipeline, one network's folder, or one file
    wanted    the names of a repository's files that a need takes: configurations, tokenizers, safetensors of one variant
    folder    where a need's files lie on this machine, downloaded when they are not here and the hub may be asked
    fetch     download a need and compare every file with the hub's size and hash

Only safetensors are taken; a pickle of tensors (.bin) only where a card or a user names that one file. Everything lies in
the cache that huggingface_hub shares between programs, and HF_HUB_OFFLINE=1 keeps to it.
"""

from __future__ import annotations

import glob
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noisekit.errors import BadValue, CorruptWeights
from noisekit.models.layout import SHARDS, WEIGHTS, check_headers, is_whole, preferred

#: "owner/name", with "@revision" and ":path inside" if need be.
_PLACE = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>[\w.-]+))?(:(?P<inside>[\w./-]+))?")

#: What a component has besides weights.
_SETTINGS = (".json", ".txt", ".model")

#: How the name of a file ends that may be named by itself.
ONE_FILE = (".safetensors", ".bin")

#: Weights in formats that noisekit does not read of itself.
_OTHERS = (".bin", ".pt", ".pth", ".ckpt", ".msgpack", ".onnx")


@dataclass(frozen=True)
class Need:
    """What is needed of a repository: its pipeline less `without`, or what lies `inside`, a network's folder or a file.

    variant: of the weights, as far as there are such; exact: no rounded files in their place. without: components of the
    pipeline whose weights come from elsewhere.
    """

    repo: str
    revision: str | None = None
    variant: str | None = None
    inside: str | None = None
    without: frozenset[str] = frozenset()
    exact: bool = False

    @property
    def pipeline(self) -> bool:
        return self.inside is None

    @property
    def anchor(self) -> str:
        """A file without which nothing of the need is here."""
        if self.inside is None:
            return "model_index.json"
        return self.inside if self.inside.endswith(ONE_FILE) else f"{self.inside}/config.json".lstrip("/")


def need_of(text: str, variant: str | None = None) -> Need | None:
    """The part of a repository that "owner/name@revision:path" names; None where the text is no such thing.

    Without a path it is a network that lies at the top of the repository.
    """
    found = _PLACE.fullmatch(text)
    if found is None:
        return None
    return Need(found["repo"], found["revision"], variant, (found["inside"] or "").strip("/"))


def folder(need: Need) -> Path:
    """The folder of a need's snapshot on this machine; `MissingFiles` where it is not, and cannot be downloaded."""
    here = held(need)
    if here is not None:
        return here
    return fetch(need)[0]


def held(need: Need) -> Path | None:
    """The folder of a need's snapshot where an earlier download left all of it, else None."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(need.repo, need.anchor, revision=need.revision)
    if not isinstance(found, str):
        return None
    snapshot = Path(found)
    for _ in Path(need.anchor).parts:
        snapshot = snapshot.parent
    return None if lacking(need, snapshot) else snapshot


def lacking(need: Need, snapshot: Path) -> list[str]:
    """The components of a need that a folder does not hold whole: without settings, or without all their weights."""
    if need.inside is not None:
        if need.inside.endswith(ONE_FILE):
            return [] if (snapshot / need.inside).is_file() else [need.inside]
        whole = is_whole(snapshot / need.inside, need.variant, need.exact)
        return [] if whole else [need.inside or need.repo]
    parts = components(read_index(snapshot))
    return [
        part for part in parts if part not in need.without and not is_whole(snapshot / part, need.variant)
    ]


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


#: Components of a pipeline that have no part in making an image from text.
IDLE = ("safety_checker", "feature_extractor", "image_encoder")


def components(index: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Library and class of the components that a pipeline's index names and that an image from text needs."""
    return {
        name: (value[0], value[1])
        for name, value in index.items()
        if isinstance(value, list) and len(value) == 2 and value[0] is not None and name not in IDLE
    }


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

    Offline, what is here is only read. Raises `BadValue` with the reason where it is not here and cannot be downloaded,
    `CorruptWeights` where a file differs from the hub's even when downloaded again.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, HTTPError

    if constants.HF_HUB_OFFLINE:
        return _offline(need)
    try:
        return _downloaded(need, need.revision or constants.DEFAULT_REVISION)
    except GatedRepoError:
        raise BadValue(
            f"{need.repo!r} is gated: accept its licence on its page on the hub, then log in with `hf auth login`"
        ) from None
    except CorruptWeights:
        raise
    except (OSError, HTTPError) as error:
        said = str(error).strip().splitlines()
        reason = said[0][:200] if said else type(error).__name__
        raise BadValue(
            f"{need.repo!r} is not on this machine, and the hub did not give it: {reason}"
        ) from None


def _offline(need: Need) -> tuple[Path, Fetched]:
    snapshot = held(need)
    if snapshot is None:
        raise BadValue(f"{need.repo!r} is not on this machine, and HF_HUB_OFFLINE is set")
    paths = [path for path in snapshot.rglob("*") if path.is_file()]
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
