"""The files of a published checkpoint: found on this machine, downloaded and verified, known by their SHA-256.

Files of the hub lie in the cache of its own client, those of GitHub in noisekit's. Nothing here goes to the network but
`fetch`, and with HF_HUB_OFFLINE=1 not even that.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from http.client import HTTPException
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

from tqdm.auto import tqdm

from noisekit.errors import CorruptWeights
from noisekit.rewards.cards import Checkpoint, Source
from noisekit.rewards.folders import blob, shards

#: Where GitHub serves single files as they are.
GITHUB = "https://raw.githubusercontent.com"

#: How the name of a file ends that lists the files of a checkpoint in several.
INDEX = ".index.json"

#: Seconds without an answer after which GitHub counts as out of reach.
PATIENCE = 10.0


def cache_folder() -> Path:
    """Where noisekit keeps what it makes of published files: $NOISEKIT_CACHE, by default beside the hub's own cache."""
    from huggingface_hub import constants

    return Path(os.environ.get("NOISEKIT_CACHE") or Path(constants.HF_ASSETS_CACHE) / "noisekit") / "rewards"


def held(checkpoint: Checkpoint, beside: Path | None = None) -> dict[str, Path | None]:
    """The checkpoint's files by name, None where one is on this machine neither in the folder `beside` nor in a cache."""
    return {
        names[0]: next(
            (path for name in names for path in (_beside(beside, name), _cached(source, name)) if path), None
        )
        for source in checkpoint.sources
        for names in source.choices
    }


def require(checkpoint: Checkpoint, files: Mapping[str, Path | None], reward: str) -> dict[str, Path]:
    """The files, all of them there; raise `CorruptWeights` that says what fetches them."""
    if absent := [name for name, path in files.items() if path is None]:
        others = f" (and {len(absent) - 1} files more)" if len(absent) > 1 else ""
        raise CorruptWeights(
            f"the published checkpoint of reward {reward!r} is not on this machine: {absent[0]!r} of "
            f"{_home(checkpoint, absent[0])}{others} is missing; `noisekit rewards fetch {reward}` downloads it "
            f"({checkpoint.gigabytes:g} GB), and the weights 'tiny' are there already"
        )
    return {name: path for name, path in files.items() if path is not None}


def fetch(checkpoint: Checkpoint) -> dict[str, Path]:
    """The checkpoint's files, downloaded where they are not here, and verified; `CorruptWeights` says why it failed."""
    from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled

    result = {}
    for source in checkpoint.sources:
        for names in source.choices:
            try:
                found = next((path for name in names if (path := _cached(source, name))), None)
                result[names[0]] = found or (_from_hub if source.repo else _from_github)(source, names)
            except (OSError, HTTPError, HTTPException) as error:
                offline = isinstance(error, OfflineModeIsEnabled) or isinstance(
                    error.__cause__, OfflineModeIsEnabled
                )
                reason = "HF_HUB_OFFLINE is set" if offline else _short(error)
                raise CorruptWeights(
                    f"{names[0]!r} of checkpoint {checkpoint.name!r} is not on this machine and {source.home!r} did not "
                    f"give it ({reason}); download it elsewhere and give its path as the weights"
                ) from None
    verify(checkpoint, result)
    for path in result.values():
        if blob(path) and sha256(path) != blob(path):
            raise _broken(path, "the hash under which the hub's cache keeps it")
    return result


def verify(checkpoint: Checkpoint, files: Mapping[str, Path]) -> None:
    """Raise `CorruptWeights` unless the files have the hashes of the card."""
    for source in checkpoint.sources:
        path = files[source.choices[0][0]]
        for kind, expected in (("md5", source.md5), ("sha256", source.sha256)):
            if expected and _digest(path, kind) != expected:
                raise _broken(path, f"the published {kind}, {expected}")


def digest(path: Path) -> str:
    """SHA-256 of a file; where a hub's cache keeps it under that hash, it is not read again."""
    if path.name.endswith(INDEX):
        whole = "".join(digest(file) for file in (*shards(path),) if file.is_file())
        return hashlib.sha256((sha256(path) + whole).encode()).hexdigest()
    return blob(path) or sha256(path)


def sha256(path: Path) -> str:
    return _digest(path, "sha256")


def _digest(path: Path, kind: str) -> str:
    about = path.stat()
    return _hashed(path, kind, about.st_size, about.st_mtime_ns)


@cache
def _hashed(path: Path, kind: str, size: int, modified: int) -> str:
    digest = hashlib.new(kind)
    with (
        path.open("rb") as file,
        tqdm(
            total=size, desc=f"hashing {path.name}", unit="B", unit_scale=True, leave=False, disable=None
        ) as bar,
    ):
        while block := file.read(2**22):
            digest.update(block)
            bar.update(len(block))
    return digest.hexdigest()


def _broken(path: Path, promise: str) -> CorruptWeights:
    return CorruptWeights(f"{str(path)!r} does not have {promise}; delete it and fetch it again")


def _beside(folder: Path | None, name: str) -> Path | None:
    return folder / name if folder is not None and _whole(folder / name) else None


def _whole(path: Path) -> bool:
    """Whether a file is there, and with an index all files that it names."""
    if not path.is_file():
        return False
    return not path.name.endswith(INDEX) or all(shard.is_file() for shard in shards(path))


def _cached(source: Source, name: str) -> Path | None:
    if not source.repo:
        path = _kept(source, name)
        return path if path.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source.repo, name, revision=source.revision)
    return Path(found) if isinstance(found, str) and _whole(Path(found)) else None


def _from_hub(source: Source, names: Sequence[str]) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import RemoteEntryNotFoundError

    def got(name: str) -> Path:
        path = Path(hf_hub_download(source.repo, name, revision=source.revision))
        for shard in shards(path) if name.endswith(INDEX) else ():
            hf_hub_download(source.repo, shard.name, revision=source.revision)
        return path

    for name in names[:-1]:
        try:
            return got(name)
        except RemoteEntryNotFoundError:
            continue
    return got(names[-1])


def _from_github(source: Source, names: Sequence[str]) -> Path:
    from huggingface_hub import constants
    from huggingface_hub.errors import OfflineModeIsEnabled

    if constants.HF_HUB_OFFLINE:
        raise OfflineModeIsEnabled
    path = _kept(source, names[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    address = f"{GITHUB}/{source.github}/{source.revision}/{quote(names[0])}"
    with tempfile.TemporaryDirectory(dir=path.parent) as unfinished:
        target = Path(unfinished) / path.name
        with urlopen(address, timeout=PATIENCE) as answer, target.open("wb") as file:
            shutil.copyfileobj(answer, file)
        target.replace(path)  # at once: another process never sees half a file
    return path


def _kept(source: Source, name: str) -> Path:
    """Where a file of GitHub is kept; what lies there is verified before it is used."""
    return cache_folder() / "downloads" / source.github / source.revision / name


def _home(checkpoint: Checkpoint, name: str) -> str:
    return next(s.home for s in checkpoint.sources if name in [names[0] for names in s.choices])


def _short(error: BaseException) -> str:
    """The innermost cause in one line: clients wrap it in paragraphs."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:200] or type(error).__name__
