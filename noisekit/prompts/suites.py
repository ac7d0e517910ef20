"""Prompt suites: the texts that a comparison runs over, in order, each once, with what is known about them.

A prompt's id is the start of SHA-256 of its text and the suite's hash covers the ids in order, so equal hashes mean equal
prompts wherever they were read. A prompt never becomes a path: files are named by ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from noisekit.errors import BadValue, unknown
from noisekit.prompts.files import read_records
from noisekit.registry import shortened
from noisekit.types import LONGEST_PROMPT

#: The suites that ship with noisekit, and what they hold.
SUITES = {"tiny": "scenes of the tiny world, equal fifths of its five kinds, checked against the truth"}

#: Columns of a file that say what kind of prompt this is.
_KIND_COLUMNS = ("kind", "category", "tag")


@dataclass(frozen=True)
class Prompt:
    """One text; `kind` groups it in tables, `unseen` tells a scene with things held out of the tiny world's training."""

    text: str
    kind: str | None = None
    unseen: bool | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def id(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class PromptSuite:
    """Prompts in order, no text twice; `empty` and `repeated` count the entries of the source that were left out."""

    name: str
    prompts: tuple[Prompt, ...]
    empty: int = 0
    repeated: int = 0

    def __len__(self) -> int:
        return len(self.prompts)

    def __iter__(self) -> Iterator[Prompt]:
        return iter(self.prompts)

    @property
    def texts(self) -> list[str]:
        return [prompt.text for prompt in self.prompts]

    @property
    def hash(self) -> str:
        """SHA-256 of the ids in order, 16 digits."""
        return hashlib.sha256(" ".join(prompt.id for prompt in self.prompts).encode()).hexdigest()[:16]


def load_prompts(source: str | Path | Sequence[str] | PromptSuite, limit: int | None = None) -> PromptSuite:
    """The prompts of a suite ("tiny"), of a file (.txt, .csv, .tsv, .json, .jsonl) or of a list of texts.

    limit: only the first so many. Raises `BadValue` on unknown names, on files that are missing, empty or not text, on
    prompts that no text encoder could read, and on a limit under 1.
    """
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise BadValue(f"limit={limit!r} of prompts is not a whole number of 1 or more")
    suite = source if isinstance(source, PromptSuite) else _read(source)
    return PromptSuite(suite.name, suite.prompts[:limit], suite.empty, suite.repeated)


def _read(source: str | Path | Sequence[str]) -> PromptSuite:
    if not isinstance(source, str | Path):
        return _suite("list", [{"prompt": text} for text in source])
    if source == "tiny":
        return _tiny()
    path = Path(source).expanduser()
    try:
        there = path.exists()
    except OSError:  # a name longer than any file's
        there = False
    if not there and not path.suffix and path.name == str(source):
        raise unknown("prompt suite (nor is it a file)", shortened(str(source)), SUITES)
    return _suite(path.stem, read_records(path), f"prompt file {str(path)!r}")


def _tiny() -> PromptSuite:
    from noisekit.world import parse
    from noisekit.world.suite import suite

    scenes = [(text, parse(text)) for text in suite()]
    return PromptSuite("tiny", tuple(Prompt(text, scene.kind, scene.unseen) for text, scene in scenes))


def _suite(
    name: str, records: Sequence[Mapping[str, Any]], where: str = "the list of prompts"
) -> PromptSuite:
    """Prompts from records that hold the text under "prompt" and anything else beside it."""
    prompts: dict[str, Prompt] = {}
    empty = 0
    for record in records:
        text = record["prompt"]
        if not isinstance(text, str):
            raise BadValue(f"{where} holds {shortened(repr(text))} where a text should be")
        text = text.strip()
        if len(text) > LONGEST_PROMPT:
            raise BadValue(
                f"{where} holds a prompt of {len(text)} characters ({shortened(text)!r}), more than the {LONGEST_PROMPT} "
                "allowed; text encoders read under 100 words, so shorten it"
            )
        empty += not text
        others = {key: value for key, value in record.items() if key != "prompt"}
        kind = next((str(others[key]) for key in _KIND_COLUMNS if others.get(key)), None)
        if text and text not in prompts:
            prompts[text] = Prompt(text, kind, metadata=others)
    if not prompts:
        raise BadValue(f"{where} holds no prompt; give at least one line of text")
    return PromptSuite(name, tuple(prompts.values()), empty, len(records) - empty - len(prompts))
