"""Prompt suites: the texts that a comparison runs over, in order, each once, with what is known about them.

A prompt's id is the start of SHA-256 of its text and the suite's hash covers the ids in order, so equal hashes mean equal
prompts wherever they were read. A prompt never becomes a path: files are named by ids.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from noisekit.errors import BadValue, unknown
from noisekit.image_prompts import ControlledPrompt, ImagePrompt, pixels_of
from noisekit.paths import given_path
from noisekit.prompts.cards import SuiteCard, cards
from noisekit.prompts.download import fetch
from noisekit.prompts.files import IMAGE, Record, checked_text, read_records
from noisekit.prompts.fish import fish
from noisekit.prompts.views import REVERSED, read_things, turntable
from noisekit.registry import shortened

#: Columns that sort prompts into categories, the most telling first; GenEval calls its tasks tags, GenEval 2 counts atoms.
CATEGORIES = ("kind", "category", "tag", "challenge", "atom_count")

#: The columns that name a picture, and what it makes of a text.
PICTURES: Mapping[str, type[ImagePrompt]] = {IMAGE: ImagePrompt, "control": ControlledPrompt}


class BundledSuite(NamedTuple):
    """How many prompts a suite has, and of what."""

    entries: int
    about: str


#: The suites that ship with noisekit.
BUNDLED = {
    "tiny": BundledSuite(
        250, "scenes of the tiny world, equal fifths of its five kinds, checked against the truth"
    ),
    "tiny_train": BundledSuite(
        4000, "other scenes, as the tiny models were trained on: to learn or to measure from"
    ),
    "turntable": BundledSuite(
        100, "pictures of things on a turntable, drawn with their views from all around"
    ),
    "imagenet_fish": BundledSuite(
        18, "the names of ImageNet's seven classes of fishes, whose FID is NPNet's; no pictures"
    ),
}

#: A suite, one of its categories, and a copy of its own: "geneval", "geneval:counting", "geneval=metadata.jsonl".
_NAME = re.compile(r"(?P<name>[\w-]+)(:(?P<category>[^=/\\]+))?(=(?P<copy>.+))?")


@dataclass(frozen=True)
class Prompt:
    """One text with what its source says of it.

    Args:
        text: an `ImagePrompt` where it has an image, whose pixels count in the id.
        kind: groups it in tables.
        unseen: whether a scene has things that were held out of the tiny world's training; None of other prompts.
        metadata: everything that the source says besides the text.
        categories: those of its columns that sort prompts, such as {"category": "Animals"}; the first is the kind.
    """

    text: str
    kind: str | None = None
    unseen: bool | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    categories: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def id(self) -> str:
        return hashlib.sha256(f"{self.text}{pixels_of(self.text)}".encode()).hexdigest()[:12]


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
    """Read the prompts that a comparison runs over.

    Args:
        source: A suite by name, a file (.txt, .csv, .tsv, .json, .jsonl), a folder of things seen from all around
            (`prompts.views`), or a list of texts. A name may choose a category and may name a local copy of the suite in its
            public format: "tiny", "drawbench", "geneval:counting", "hpsv2:photo", "parti_prompts=PartiPrompts.tsv",
            "t2i_compbench=FOLDER". Without a copy, public suites are downloaded once and kept. A column "control" names each
            prompt's control image, a column "image" the picture that is the prompt, with a text or without: files beside the
            prompt file.
        limit: Only the first so many (None: all).

    Returns:
        The prompts in order, each once.

    Raises:
        BadValue: The name is unknown; a file is missing, damaged, empty or not text; a copy has another number of prompts
            than the suite; a suite is neither here nor within reach; a prompt is such that no text encoder could read it;
            a picture cannot be read; the limit is under 1.
    """
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise BadValue(f"limit={limit!r} of prompts is not a whole number of 1 or more")
    suite = source if isinstance(source, PromptSuite) else _read(source)
    return replace(suite, prompts=suite.prompts[:limit])


def _read(source: str | Path | Sequence[str]) -> PromptSuite:
    if not isinstance(source, str | Path):
        return _suite("list", [{"prompt": text} for text in source])
    named = _NAME.fullmatch(source) if isinstance(source, str) else None
    if named and (named["name"] in (*BUNDLED, *cards())):
        return _by_name(**named.groupdict())
    path = given_path(source)
    if os.path.isdir(str(path).removesuffix(REVERSED)):
        return _of_things(path.name, read_things(str(path)))
    try:
        there = path.exists()
    except OSError:  # a name longer than any file's
        there = False
    if not there and (named or (not path.suffix and path.name == str(source))):
        name = named["name"] if named else str(source)
        raise unknown("prompt suite (nor is it a file)", shortened(name), [*BUNDLED, *cards()])
    return _suite(path.stem, read_records(path), f"prompt file {str(path)!r}", path.parent)


def _by_name(name: str, category: str | None, copy: str | None) -> PromptSuite:
    if name in BUNDLED and copy is not None:
        raise BadValue(f"prompt suite {name!r} comes with noisekit and is not read from {shortened(copy)!r}")
    suite = _bundled(name) if name in BUNDLED else _public(cards()[name], category, copy)
    return suite if category is None else _only(suite, category)


def _public(card: SuiteCard, category: str | None, copy: str | None) -> PromptSuite:
    """A public suite; where each category has a file, only the file of the category asked for is needed."""
    chosen = {part: file for part, file in card.files.items() if part == category} or card.files
    records: list[Record] = []
    for part, file in chosen.items():
        path = fetch(card, file) if copy is None else _in_copy(card, file, given_path(copy), len(chosen))
        try:
            entries = read_records(path)
        except BadValue as problem:
            raise BadValue(f"{problem} (for {card.name!r}: {card.advice})") from None
        if len(entries) != card.rows:
            raise BadValue(
                f"prompt file {str(path)!r} holds {len(entries)} entries where {card.name!r} has {card.rows}; "
                f"{card.advice}, or give the file without the suite's name"
            )
        records += [entry | {"category": part} for entry in entries] if part else entries
    suite = _suite(card.name, records, f"prompt suite {card.name!r}")
    return replace(suite, prompts=suite.prompts[: card.first])


def _in_copy(card: SuiteCard, file: str, copy: Path, wanted: int) -> Path:
    """Where a file of a suite lies in a user's copy: a folder, or the file itself when only one is wanted."""
    if copy.is_dir():
        return copy / PurePosixPath(file).name
    if wanted > 1 and copy.exists():
        names = ", ".join(PurePosixPath(path).name for path in card.files.values())
        raise BadValue(
            f"prompt suite {card.name!r} is read from a folder with {names}, and {str(copy)!r} is a file"
        )
    return copy


def _only(suite: PromptSuite, category: str) -> PromptSuite:
    """The prompts of one category, whichever of their columns names it."""
    chosen = tuple(prompt for prompt in suite if category in prompt.categories.values())
    if not chosen:
        known = {value for prompt in suite for value in prompt.categories.values()}
        raise unknown(f"category of prompt suite {suite.name!r}", category, known)
    return PromptSuite(f"{suite.name}:{category}", chosen)


def _of_things(name: str, things: Sequence[tuple[ImagePrompt, Mapping[str, Any]]]) -> PromptSuite:
    return PromptSuite(name, tuple(Prompt(prompt, metadata=record) for prompt, record in things))


def _bundled(name: str) -> PromptSuite:
    if name == "turntable":
        return _of_things(name, turntable())
    if name == "imagenet_fish":
        named = [Prompt(text, about["kind"], None, record, about) for text, record, about in fish()]
        return PromptSuite(name, tuple(named))
    from noisekit.world import parse
    from noisekit.world.suite import suite, training_captions

    scenes = [(text, parse(text)) for text in (suite() if name == "tiny" else training_captions())]
    prompts = [
        Prompt(text, scene.kind, scene.unseen, categories={"kind": scene.kind}) for text, scene in scenes
    ]
    return PromptSuite(name, tuple(prompts))


def _with_picture(text: str, record: Record, folder: Path) -> str:
    """A text with the picture that its record names, if any; without a text it is called as the picture's file is."""
    for column, kind in PICTURES.items():
        if name := str(record.get(column) or "").strip():
            file = folder / given_path(name)
            words = text or (file.stem if kind is ImagePrompt else "")
            return kind(words, file) if words else text
    return text


def _suite(
    name: str, records: Sequence[Record], where: str = "the list of prompts", folder: Path | None = None
) -> PromptSuite:
    """Prompts from records that hold the text under "prompt" and anything else beside it.

    folder: where pictures lie; without one no record has any.
    """
    prompts: dict[str, Prompt] = {}
    empty = 0
    for record in records:
        text = checked_text(record["prompt"], where)
        if folder is not None:
            text = _with_picture(text, record, folder)
        empty += not text
        if text and text not in prompts:
            others = {key: value for key, value in record.items() if key != "prompt"}
            named = {
                key: str(others[key]).strip() for key in CATEGORIES if isinstance(others.get(key), str | int)
            }
            categories = {key: value for key, value in named.items() if value}
            prompts[text] = Prompt(text, next(iter(categories.values()), None), None, others, categories)
    words = Counter(str(text) for text in prompts)
    if len(words) < len(prompts):
        ((text, times),) = words.most_common(1)
        roles = {prompt.role for prompt in prompts if isinstance(prompt, ImagePrompt) and str(prompt) == text}
        raise BadValue(
            f"{where} holds {shortened(text)!r} with {times} {' and '.join(sorted(roles))}s; images are compared by prompt "
            "and seed, so give each its own words, or a file and a store of its own"
        )
    if not prompts:
        raise BadValue(f"{where} holds no prompt; give at least one line of text")
    return PromptSuite(name, tuple(prompts.values()), empty, len(records) - empty - len(prompts))
