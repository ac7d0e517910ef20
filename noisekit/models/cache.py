"""What a model needs of the hub, and how much of it earlier downloads left on this machine.

    need          a repository and what of it: a whole pipeline, one network's folder, or one file
    held          the folder of a need's snapshot where all of it is here
    reason_absent    what of it is not, or which other commit is here instead, and how that one is asked for

The cache is that of huggingface_hub, as any program left it: snapshots/COMMIT with links to files, of which a broken
download leaves some that lead nowhere, and refs/NAME with the commit that the hub called so at the last download.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from noisekit.errors import BadValue
from noisekit.models.layout import components, is_index, is_whole, read_index, variants

#: "owner/name", with "@revision" and ":path inside" if need be.
_PLACE = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>[\w.-]+))?(:(?P<inside>[\w./-]+))?")

#: How the name of a file ends that may be named by itself.
ONE_FILE = (".safetensors", ".bin")


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


def need_of(text: str, variant: str | None = None) -> Need | None:
    """The part of a repository that "owner/name@revision:path" names; None where the text is no such thing.

    Without a path it is a network that lies at the top of the repository.
    """
    found = _PLACE.fullmatch(text)
    if found is None:
        return None
    return Need(found["repo"], found["revision"], variant, (found["inside"] or "").strip("/"))


def held(need: Need) -> Path | None:
    """The folder of a need's snapshot where an earlier download left all of it, else None."""
    found = _snapshot(need)
    return None if found is None or lacking(need, found) else found


def lacking(need: Need, snapshot: Path) -> list[str]:
    """The components of a need that a folder does not hold whole: without settings, or without all their weights."""
    if need.inside is not None:
        if need.inside.endswith(ONE_FILE):
            return [] if (snapshot / need.inside).is_file() else [need.inside]
        whole = is_whole(snapshot / need.inside, need.variant, need.exact)
        return [] if whole else [need.inside or need.repo]
    if not is_index(snapshot):
        return ["model_index.json"]
    parts = components(read_index(snapshot))
    return [
        part for part in parts if part not in need.without and not is_whole(snapshot / part, need.variant)
    ]


def is_begun(need: Need) -> bool:
    """Whether anything of a need's repository is on this machine."""
    return any(any(path.iterdir()) for path in _snapshots(need.repo).values())


def reason_absent(need: Need) -> str:
    """What is not here of a need that is not held: the beginning of a sentence."""
    found = _snapshot(need)
    absent = _absent(need, found) if found is not None else ""
    whole = [commit for commit, path in _snapshots(need.repo).items() if not lacking(need, path)]
    if whole:
        asked = (
            f"revision={whole[0]!r}" if need.pipeline else f"{need.repo}@{whole[0]}:{need.inside}".rstrip(":")
        )
        here = f"this machine holds commit {whole[0]!r} of {need.repo!r} (to use it, give {asked})"
        return f"{here}, but not {need.revision or 'main'!r} whole"
    return (
        f"{need.repo!r} is on this machine without {absent}"
        if absent
        else f"{need.repo!r} is not on this machine"
    )


def _absent(need: Need, snapshot: Path) -> str:
    """The components that a snapshot lacks, and what it has in their place."""
    said = []
    for name in lacking(need, snapshot):
        rounded = [str(variant) for variant in variants(snapshot / name)] if need.exact else []
        said.append(
            f"{name!r}" + (f" in full precision ({', '.join(rounded)} is here, rounded)" if rounded else "")
        )
    return ", ".join(said)


def _snapshot(need: Need) -> Path | None:
    """The folder of the revision that a need asks for; where it asks for none and no download noted which one the hub calls
    main, the only whole one.
    """
    commits = _snapshots(need.repo)
    ref = _home(need.repo) / "refs" / (need.revision or "main")
    commit = ref.read_text(encoding="utf-8").strip() if ref.is_file() else need.revision
    if commit is not None:
        return commits.get(commit)
    whole = [path for path in commits.values() if not lacking(need, path)]
    return whole[0] if len(whole) == 1 else None


def _snapshots(repo: str) -> Mapping[str, Path]:
    """The snapshots of a repository by commit."""
    home = _home(repo) / "snapshots"
    return {path.name: path for path in sorted(home.iterdir())} if home.is_dir() else {}


def _home(repo: str) -> Path:
    from huggingface_hub import constants
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.file_download import repo_folder_name
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError:
        raise BadValue(f"{repo!r} is neither a folder here nor the id of a repository, owner/name") from None
    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo, repo_type="model")
