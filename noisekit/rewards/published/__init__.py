"""Published checkpoints: official files in, folders out that the reward classes read as they read the bundled ones.

    in a hub's cache, or given by path  →  converted once, by the module of their format  →  a folder in noisekit's cache

The folder's name holds the hash of the files that it was made of, and its sources.json names them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path

from noisekit.errors import BadValue, CorruptWeights, Unwritable
from noisekit.files import whole_folder
from noisekit.paths import given_path
from noisekit.rewards.cards import Checkpoint, variants
from noisekit.rewards.folders import SOURCES
from noisekit.rewards.published import sources

#: Raised when a converter writes its folder in another way.
VERSION = 2


def published(name: str) -> Path:
    """The folder of a reward's published checkpoint, converted now if it was not before; nothing is downloaded."""
    checkpoint = variants()[name].checkpoint
    files = sources.require(checkpoint, sources.held(checkpoint), name)
    return _prepared(checkpoint, files, official=True)


def from_file(name: str, file: Path) -> Path:
    """The folder made of a file in the published format; what it needs besides lies beside it or in a hub's cache."""
    checkpoint = variants()[name].checkpoint
    return _prepared(checkpoint, _files(name, file), official=False)


def fetch(name: str) -> Path:
    """The folder of a reward's published checkpoint, downloaded and verified where it is not here."""
    checkpoint = variants()[name].checkpoint
    return _prepared(checkpoint, sources.fetch(checkpoint), official=True)


def convert(name: str, source: Path, target: Path) -> None:
    """Write a new folder that the reward reads, out of a file in the published format, or a folder with the files."""
    source, target = given_path(source), given_path(target)
    if target.exists():
        raise BadValue(f"target {str(target)!r} is there already; give a folder that is not")
    checkpoint = variants()[name].checkpoint
    file = source / checkpoint.main if source.is_dir() else source
    if not file.is_file():
        raise BadValue(f"source {str(file)!r} is no file; give the file of the published checkpoint")
    with whole_folder(target) as unfinished:
        _fill(checkpoint, _files(name, file), unfinished)
        for link in [
            path for path in unfinished.iterdir() if path.is_symlink()
        ]:  # to stand without its source
            real = link.resolve()
            link.unlink()
            shutil.copyfile(real, link)


def write(checkpoint: Checkpoint, files: Mapping[str, Path], folder: Path) -> None:
    """Make the folder that a reward reads out of a checkpoint's files: the whole of it or none."""
    try:
        with whole_folder(folder) as unfinished:
            _fill(checkpoint, files, unfinished)
    except Unwritable as error:
        if not folder.is_dir():  # else another process was faster, and made the same
            raise BadValue(f"{error}; or set NOISEKIT_CACHE to another folder") from None


def _fill(checkpoint: Checkpoint, files: Mapping[str, Path], folder: Path) -> None:
    module = import_module(f"noisekit.rewards.published.{checkpoint.format}")
    module.convert(files, checkpoint.main, checkpoint.architecture, folder)
    (folder / SOURCES).write_text(_about(checkpoint, files) + "\n", encoding="utf-8")


def missing(checkpoint: Checkpoint) -> list[str]:
    """Files of a checkpoint that are not on this machine."""
    return [name for name, path in sources.held(checkpoint).items() if path is None]


def absent(names: Iterable[str]) -> list[str]:
    """Of some rewards, one for each published checkpoint that is not on this machine, or not whole."""
    first: dict[str, str] = {}
    for name in names:
        if name in variants():
            first.setdefault(variants()[name].checkpoint.name, name)
    return [name for name in first.values() if missing(variants()[name].checkpoint)]


def require(names: Iterable[str]) -> None:
    """Raise `CorruptWeights` that names all absent checkpoints where there are several; `published` tells of one."""
    lacking = absent(names)
    if len(lacking) > 1:
        sizes = [variants()[name].checkpoint.gigabytes for name in lacking]
        raise CorruptWeights(
            f"the published checkpoints of rewards {', '.join(lacking[:-1])} and {lacking[-1]} are not on this machine; "
            f"`{fetching(lacking)}` downloads them ({sum(sizes):g} GB), and the weights 'tiny' are there already"
        )


def fetching(names: Iterable[str]) -> str:
    """The command that downloads the checkpoints of some rewards."""
    return f"noisekit rewards fetch {' '.join(names)}"


def _files(name: str, file: Path) -> dict[str, Path]:
    checkpoint = variants()[name].checkpoint
    found = sources.held(checkpoint, beside=file.parent) | {checkpoint.main: file}
    return sources.require(checkpoint, found, name)


def _prepared(checkpoint: Checkpoint, files: Mapping[str, Path], official: bool) -> Path:
    """official: the files are those of the card, whose hashes they must have."""
    key = hashlib.sha256(f"{VERSION}\n{_about(checkpoint, files)}".encode()).hexdigest()[:16]
    folder = sources.cache_folder() / f"{checkpoint.name}-{key}"
    if not folder.is_dir() or any(not path.exists() for path in folder.iterdir()):  # a link's aim may be gone
        if official:
            sources.verify(checkpoint, files)
        shutil.rmtree(folder, ignore_errors=True)
        write(checkpoint, files, folder)
    return folder


def _about(checkpoint: Checkpoint, files: Mapping[str, Path]) -> str:
    about = {
        "format": checkpoint.format,
        "architecture": checkpoint.architecture,
        "files": {name: sources.digest(path) for name, path in files.items()},
    }
    return json.dumps(about, indent=2, sort_keys=True)
