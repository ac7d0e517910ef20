"""Rewards with checkpoints as data (cards.yaml): where the files lie, and what tells rewards of one class apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from noisekit.errors import unknown
from noisekit.files import shipped_yaml


@dataclass(frozen=True)
class Source:
    """Files of one place: a repository of the hub, or of GitHub.

    files: names there; "a | b" is the first of the two that is there, and goes by the name a. md5, sha256: of the first
    file, where they are known. revision: a commit or branch there.
    """

    files: tuple[str, ...]
    repo: str = ""
    github: str = ""
    revision: str = "main"
    md5: str = ""
    sha256: str = ""

    @property
    def choices(self) -> list[tuple[str, ...]]:
        """Each file as the names that it may have."""
        return [tuple(name.strip() for name in file.split("|")) for file in self.files]

    @property
    def home(self) -> str:
        return self.repo or f"{self.github} (GitHub)"


@dataclass(frozen=True)
class Checkpoint:
    """Published weights. The first file of the first source holds them; the others say how text and image are made ready.

    format: the module of `noisekit.rewards.published` that reads it. backbone: the image tower, as `Reward.family` has it.
    gigabytes: about how much is downloaded. architecture: of the network, where the files do not say it.
    """

    name: str
    format: str
    backbone: str
    sources: tuple[Source, ...]
    gigabytes: float
    licence: str
    architecture: Mapping[str, Any] = field(default_factory=dict)

    @property
    def main(self) -> str:
        """The name that the file with the weights goes by."""
        return self.sources[0].choices[0][0]


@dataclass(frozen=True)
class Variant:
    """A reward by its registry name.

    checkpoint: its published weights. version: which weights or tower these are, as it stands beside the number. tiny: the
    folder of those that ship with noisekit, if any do. settings: what its class is given.
    """

    name: str
    checkpoint: Checkpoint
    version: str = ""
    tiny: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@cache
def checkpoints() -> Mapping[str, Checkpoint]:
    """Every published checkpoint that noisekit knows, by name."""
    result = {}
    for name, entry in _cards()["checkpoints"].items():
        sources = tuple(Source(**source | {"files": tuple(source["files"])}) for source in entry["sources"])
        result[name] = Checkpoint(name=name, **entry | {"sources": sources})
    return result


@cache
def variants() -> Mapping[str, Variant]:
    """Every reward that has a checkpoint, by registry name."""
    return {
        name: Variant(name=name, **entry | {"checkpoint": checkpoints()[entry["checkpoint"]]})
        for name, entry in _cards()["rewards"].items()
    }


def variant(name: str) -> Variant:
    """The reward called `name`; raise `BadValue` where it is unknown or has no published checkpoint."""
    if name not in variants():
        raise unknown("published reward", name, variants())
    return variants()[name]


@cache
def same_weights(name: str) -> frozenset[str]:
    """Rewards that read the same weights as this one, which is among them: climbing one climbs them all."""
    card = variants().get(name)
    if card is None:
        return frozenset([name])
    return frozenset(other.name for other in variants().values() if other.checkpoint == card.checkpoint)


@cache
def _cards() -> dict[str, Any]:
    read: dict[str, Any] = shipped_yaml("rewards/cards.yaml")
    return read
