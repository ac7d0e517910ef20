"""Public prompt suites as data (cards.yaml): which files of which commit hold them, and how many prompts to expect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath

from noisekit.files import shipped_yaml


@dataclass(frozen=True)
class SuiteCard:
    """Where a suite is read from. How a file is read follows from its suffix.

    home: "huggingface:OWNER/NAME" (a dataset) or "github:OWNER/NAME". revision: the commit there. files: paths in the
    repository by the category whose prompts they hold; a suite of one file has it under "". rows: entries of each file,
    empty ones included. first: the suite is only so many of its prompts.
    """

    name: str
    about: str
    home: str
    revision: str
    files: Mapping[str, str]
    rows: int
    licence: str
    first: int | None = None

    @property
    def service(self) -> str:
        return self.home.partition(":")[0]

    @property
    def repo(self) -> str:
        return self.home.partition(":")[2]

    @property
    def entries(self) -> int:
        """How many entries the suite takes from its files."""
        return self.first or self.rows * len(self.files)

    @property
    def advice(self) -> str:
        """How to get the suite by hand, as the end of a sentence."""
        site = "github.com" if self.service == "github" else "huggingface.co/datasets"
        page = f"https://{site}/{self.repo}"
        paths = [PurePosixPath(path) for path in self.files.values()]
        if len(paths) == 1:
            return f"download {page}/blob/{self.revision}/{paths[0]} and give it as '{self.name}=FILE'"
        names = ", ".join(path.name for path in paths)
        folder = f"{page}/tree/{self.revision}/{paths[0].parent}"
        return f"download {names} from {folder} and give them as '{self.name}=FOLDER'"


@cache
def cards() -> Mapping[str, SuiteCard]:
    """Every public suite that noisekit knows, by name."""
    entries = shipped_yaml("prompts/cards.yaml")
    for entry in entries.values():
        if isinstance(entry["files"], str):
            entry["files"] = {"": entry["files"]}
    return {name: SuiteCard(name, **entry) for name, entry in entries.items()}
