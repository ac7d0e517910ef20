"""Where the networks of a scorer lie: in a hub's cache, as its card (cards.yaml) says, or in a folder of the user's.

"published"        every part where the hub's own client has put it; nothing is downloaded
a folder           its subfolders by the names of the parts, or itself where there is one; what it lacks is "published"
"OWNER/NAME"       another repository of the hub for the first part
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from noisekit.errors import BadValue, CorruptWeights, NotSupported
from noisekit.files import shipped_yaml
from noisekit.paths import given_path
from noisekit.rewards import locate, published
from noisekit.rewards.cards import variants

#: How metrics end that read the networks of another in 4 bits.
FOUR_BIT = "_4bit"


@dataclass(frozen=True)
class Part:
    """A network of a scorer. name: of its folder. repo: on the hub; or reward: whose checkpoint it is; or torchvision: its
    model and the file by which that publishes its weights.

    revision: a commit or branch of the hub. files: patterns of those that are wanted, all where there are none.
    """

    name: str
    repo: str = ""
    reward: str = ""
    torchvision: tuple[str, str] | None = None
    revision: str = "main"
    files: tuple[str, ...] = ()
    gigabytes: float = 0.0
    licence: str = ""

    @property
    def home(self) -> str:
        if self.torchvision is not None:
            return "torchvision"
        return self.repo or variants()[self.reward].checkpoint.sources[0].home

    @property
    def size(self) -> float:
        """Gigabytes that are downloaded."""
        return self.gigabytes or variants()[self.reward].checkpoint.gigabytes

    @property
    def terms(self) -> str:
        return self.licence or variants()[self.reward].checkpoint.licence

    @property
    def fetching(self) -> str:
        """The command that downloads it."""
        if self.reward:
            return published.fetching([self.reward])
        if self.torchvision is not None:
            return f"python -c \"import torchvision; torchvision.models.{self.torchvision[0]}(weights='DEFAULT')\""
        chosen = [f"--include {shlex.quote(pattern)}" for pattern in self.files]
        revision = [] if self.revision == "main" else [f"--revision {self.revision}"]
        return " ".join(["hf download", self.repo, *revision, *chosen])

    def held(self) -> Path | None:
        """The folder on this machine, None where it is not."""
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

        if self.reward:
            return None if published.absent([self.reward]) else locate(self.reward, "published")[0]
        if self.torchvision is not None:
            kept = _torch_home() / self.torchvision[1]
            return kept.parent if kept.is_file() else None
        try:
            return Path(snapshot_download(self.repo, revision=self.revision, local_files_only=True))
        except (LocalEntryNotFoundError, HFValidationError):
            return None


@cache
def cards() -> Mapping[str, tuple[Part, ...]]:
    """The parts of every scorer that has a card, by metric."""
    entries = shipped_yaml("metrics/cards.yaml")
    lists = ("files", "torchvision")
    return {
        name: tuple(Part(**part | {key: tuple(part[key]) for key in lists if key in part}) for part in parts)
        for name, parts in entries.items()
    }


def absent(metrics: Iterable[str]) -> list[Part]:
    """The published parts of some metrics that are not on this machine, each once; of those that are no rewards."""
    parts = [part for name in metrics for part in cards().get(name.removesuffix(FOUR_BIT), ())]
    return [part for part in dict.fromkeys(parts) if part.held() is None]


def folders(metric: str, weights: str) -> dict[str, Path]:
    """The folder of each part of a metric.

    Raises:
        NotSupported: `weights` is "tiny", which these metrics are not made of.
        BadValue: It is neither "published" nor a folder nor the name of a repository.
        CorruptWeights: A part is not on this machine; the message says what downloads it.
    """
    parts = cards()[metric]
    own: dict[str, Path] = {}
    if weights == "tiny":
        raise NotSupported(
            f"metric {metric!r} has no tiny weights; use weights='published', or a folder of your own"
        )
    if weights != "published":
        path = given_path(weights)
        if path.is_dir():
            own = {part.name: path / part.name for part in parts if (path / part.name).is_dir()}
            if not own and len(parts) == 1:
                own = {parts[0].name: path}
        elif re.fullmatch(r"[\w.-]+/[\w.-]+", weights):
            parts = (replace(parts[0], repo=weights, reward="", gigabytes=0, licence=""), *parts[1:])
        if not own and parts == cards()[metric]:
            names = ", ".join(repr(part.name) for part in parts)
            raise BadValue(
                f"weights={weights!r} of metric {metric!r} is neither 'published', nor a folder with {names}, nor the name "
                "of a repository such as 'OWNER/NAME'"
            )
    found = own | {part.name: folder for part in parts if part.name not in own and (folder := part.held())}
    if absent := [part for part in parts if part.name not in found]:
        how = " and ".join(f"`{part.fetching}` downloads its {part.name}{_size(part)}" for part in absent)
        raise CorruptWeights(
            f"weights of metric {metric!r} are not on this machine: {how}; or give a folder that holds "
            f"{', '.join(part.name for part in parts)} as its weights"
        )
    return found


def _torch_home() -> Path:
    """Where torch keeps what it downloads, without asking torch, whose import takes seconds."""
    home = os.environ.get("TORCH_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "torch")
    return Path(home).expanduser() / "hub" / "checkpoints"


def shown(weights: str) -> str:
    """What weights are called beside a score: a folder by its own name."""
    path = given_path(weights)
    return path.resolve().name if path.is_dir() else weights


def _size(part: Part) -> str:
    known = part.reward or part.gigabytes
    return f" ({part.size:g} GB, {part.terms})" if known else ""
