"""What a plan combines (models, methods, prompts, seeds, budgets) and what it measures, from what people write.

Models and methods are written as names, or as grids, of which every combination is meant:

    {reno: {steps: [10, 20, 50], lr: 5.0}}  →  reno(steps=10, lr=5.0), reno(steps=20, lr=5.0), reno(steps=50, lr=5.0)
    [standard, cosine: {steps: [2, 20]}]    →  standard, cosine(steps=2), cosine(steps=20)

`where` is the place in the plan, and stands in every error.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, get_args

from pydantic import Field

from noisekit import registry
from noisekit.errors import BadValue, unknown
from noisekit.paths import given_path
from noisekit.plan.reading import POSITIVE, Keys, Number, Whole, at, listed, text
from noisekit.plan.sources import ModelSource
from noisekit.prompts import PromptSuite, load_prompts
from noisekit.registry import checked_metrics, printed
from noisekit.types import Budget

if TYPE_CHECKING:
    from noisekit.methods import NoiseMethod

#: Combinations of one grid.
MOST = 10_000
#: A seed, or the first and the last of several: "7", "0-9".
_SEEDS = re.compile(r"(?P<first>\d{1,30})(-(?P<last>\d{1,30}))?", re.ASCII)
#: Digits of a number of seeds that is read at all.
LONGEST_NUMBER = 30
#: Seeds of a plan.
MOST_SEEDS = 100_000


class Entry(NamedTuple):
    """One combination of a grid: its place, the name (or an object), and the settings beside the name."""

    where: str
    name: Any
    settings: dict[str, Any]


def entries(given: Any, where: str) -> Iterator[Entry]:
    """Every combination of a name, a mapping of names to settings, or a list of these."""
    for here, item in listed(given, where, "give at least one"):
        if item is None or isinstance(item, bool | int | float | list | tuple):
            raise BadValue(
                f"{here} is {printed(item)}, where a name or a mapping of a name to settings should be"
            )
        if not isinstance(item, Mapping):
            yield Entry(here, item, {})
            continue
        if not item:
            raise BadValue(f"{here} is an empty mapping; give a name and its settings")
        for name, settings in item.items():
            if not isinstance(name, str):
                raise BadValue(f"{here}.{name}: {name!r} is not a name")
            yield from _combinations(f"{here}.{name}", name, {} if settings is None else settings)


def _combinations(where: str, name: str, settings: Any) -> Iterator[Entry]:
    if not isinstance(settings, Mapping):
        raise BadValue(
            f"{where} is {printed(settings)}, where settings by name should be, as in {{steps: [10, 20]}}"
        )
    axes = [list(value) if isinstance(value, list | tuple) else [value] for value in settings.values()]
    for key, values in zip(settings, axes, strict=True):
        if not values:
            raise BadValue(
                f"{where}.{key} is an empty list, which leaves nothing to run; give at least one value"
            )
    if math.prod(map(len, axes)) > MOST:
        raise BadValue(f"{where} asks for {math.prod(map(len, axes))} combinations; the most is {MOST}")
    for combined in product(*axes):
        yield Entry(where, name, dict(zip(map(str, settings), combined, strict=True)))


def read_settings(given: Any, where: str) -> dict[str, Any]:
    """Settings of `load_model`; what is null counts as left out. Their values are checked by what takes them."""
    from noisekit.models.loading import MODEL_SETTINGS  # takes seconds, and a schema needs none

    if not isinstance(given, Mapping):
        raise BadValue(f"{where} is {printed(given)}, where keys and values should be, as in {{steps: 20}}")
    for key in given:
        if key not in MODEL_SETTINGS:
            raise unknown(f"key in {where}:", str(key), MODEL_SETTINGS)
    return {key: value for key, value in given.items() if value is not None}


def read_models(given: Any, where: str, settings: Mapping[str, Any]) -> tuple[ModelSource, ...]:
    """Every model with its settings, which come before those that all models share."""
    sources: list[ModelSource] = []
    for entry in entries(given, where):
        if isinstance(entry.name, str) and not entry.name.strip():
            raise BadValue(f"{entry.where} is an empty text, where a model should be")
        source = ModelSource(entry.name, {**settings, **read_settings(entry.settings, entry.where)})
        if source in sources:
            raise BadValue(f"{entry.where} is a model that the plan names already; give it once")
        sources.append(source)
    return tuple(sources)


def read_methods(given: Any, where: str) -> tuple[NoiseMethod, ...]:
    """Every method once, standard first; one that stands twice in a list is refused, with both places."""
    from noisekit.methods import load_method

    places: dict[str, str] = {}
    methods = [load_method("standard")]
    for entry in entries(given, where):
        with at(registry.render(entry.where, entry.settings) if entry.settings else entry.where):
            method = _method(entry)
        name = str(method)
        if name in places:
            raise BadValue(f"{entry.where} and {places[name]} are both {name!r}; give it once")
        places[name] = entry.where
        if method != methods[0]:
            methods.append(method)
    return tuple(methods)


def _method(entry: Entry) -> NoiseMethod:
    from noisekit.methods import NoiseMethod, load_method

    if not isinstance(entry.name, str):
        if not isinstance(entry.name, NoiseMethod):
            raise BadValue(f"{printed(entry.name)} is not a method; give a name such as 'cosine(steps=20)'")
        return entry.name
    name, settings, wrapped = registry.parse(entry.name)
    twice = settings.keys() & entry.settings.keys()
    if twice:
        raise BadValue(f"setting {min(twice)!r} is given in the name and beside it; give it once")
    return load_method(registry.render(name, settings | entry.settings, wrapped))


class Suite(Keys):
    """Prompts: a suite or a file by name, or texts."""

    example: ClassVar[str] = "{suite: tiny, limit: 10}"

    suite: Any = None
    """The name of a suite, or a file of prompts: .txt, .csv, .tsv, .json, .jsonl."""
    category: Any = None
    """Only the prompts of this category of the suite."""
    limit: Whole | None = None
    """Only the first so many prompts."""
    texts: Any = None
    """The prompts themselves, instead of a suite."""

    def load(self, where: str, limit: int | None) -> PromptSuite:
        """The prompts; `limit` where the suite has none of its own."""
        if (self.suite is None) == (self.texts is None):
            raise BadValue(f"{where} names no suite; write {self.example}, or texts: [...] instead of suite")
        own = self.limit or limit
        if self.texts is not None:
            if not isinstance(self.texts, list | tuple):
                raise BadValue(f"{where}.texts is {printed(self.texts)}, where a list of texts should be")
            with at(f"{where}.texts"):
                return load_prompts([text(one, f"[{i}]", "a text") for i, one in enumerate(self.texts)], own)
        name = text(self.suite, f"{where}.suite", "the name of a suite or a file")
        if self.category is not None:
            base, sign, copy = name.partition("=")
            name = f"{base}:{self.category}{sign}{copy}"
        with at(f"{where}.suite"):
            return load_prompts(name, own)


def read_suites(given: Any, where: str, limit: int | None) -> tuple[PromptSuite, ...]:
    """The suites, of different names; `limit` is that of all that have none of their own."""
    suites: list[PromptSuite] = []
    for here, item in listed(given, where, "give at least one suite or file"):
        if isinstance(item, Mapping):
            suite = Suite.read(item, here).load(here, limit)
        elif isinstance(item, str | Path | PromptSuite):
            with at(here):
                suite = load_prompts(item, limit)
        else:
            raise BadValue(f"{here} is {printed(item)}, where the name of a suite or a file should be")
        if suite.name in (other.name for other in suites):
            raise BadValue(
                f"{here}: two suites are called {suite.name!r}; give each once, and files names of their own"
            )
        suites.append(suite)
    return tuple(suites)


def read_seeds(given: Any, where: str) -> tuple[int, ...]:
    """How many seeds, from 0, or which."""
    from noisekit.methods.inputs import checked_seeds

    if isinstance(given, str):
        given = _written_seeds(given, where)
    if isinstance(given, int):
        if isinstance(given, bool) or given < 1:
            raise BadValue(
                f"{where}={printed(given)} is not a whole number of 1 or more, nor a list of seeds"
            )
        _check_number(given, where)
        return tuple(range(given))
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise BadValue(f"{where} is {printed(given)}, where a number of seeds or a list of seeds should be")
    _check_number(len(given), where)
    with at(where):
        seeds = tuple(checked_seeds(given))
        again = [seed for seed, times in Counter(seeds).items() if times > 1]
        if again:
            raise BadValue(f"seed {again[0]} stands twice; give each seed once")
    return seeds


def _check_number(seeds: int, where: str) -> None:
    if seeds > MOST_SEEDS:
        raise BadValue(f"{where} asks for {printed(seeds)} seeds; the most is {MOST_SEEDS}")


def _written_seeds(text: str, where: str) -> int | list[int]:
    """How many, of a number alone ("4"), or which: "0,5,7", "0-9", "0-9,20", "7," (the seed 7 alone)."""
    if len(text) <= LONGEST_NUMBER and text.strip().isdecimal():
        return int(text)
    *parts, last = text.split(",")
    found = [_SEEDS.fullmatch(part.strip()) for part in [*parts, *([last] if last.strip() else [])]]
    spans = [(int(one["first"]), int(one["last"] or one["first"])) for one in found if one]
    if len(spans) < len(found) or any(first > last for first, last in spans):
        raise BadValue(
            f"{where} is {printed(text)}, where a number of seeds or a list of seeds should be, as in '0-9,20'"
        )
    _check_number(sum(last + 1 - first for first, last in spans), where)
    return [seed for first, last in spans for seed in range(first, last + 1)]


def read_metrics(given: Any, where: str) -> tuple[str, ...]:
    """Metrics that there are, by name; one or several."""
    several = given if isinstance(given, list | tuple) else [given]
    names = [text(name, f"{where}[{i}]", "the name of a metric") for i, name in enumerate(several)]
    with at(where):
        return tuple(checked_metrics(names))


class Limits(Keys):
    """The most that an image may cost."""

    example: ClassVar[str] = "{calls: 60}"

    seconds: Number | None = Field(None, json_schema_extra=POSITIVE)
    """Seconds of an image, final sampling and decoding included."""
    calls: Number | None = Field(None, json_schema_extra=POSITIVE)
    """Evaluations of the denoiser."""
    candidates: Whole | None = None
    """Candidates that the search may try."""
    equivalents: Number | None = Field(None, json_schema_extra=POSITIVE)
    """Denoiser equivalents: the floating-point operations of all networks, in evaluations of the denoiser."""


def read_budgets(given: Any, where: str) -> tuple[Budget, ...]:
    """One budget or several, each once."""
    budgets: dict[Budget, None] = {}
    for here, item in listed(given, where, "give at least one budget, or leave the key out"):
        if isinstance(item, Mapping) and item.get("memory") is not None:
            raise BadValue(
                f"{here}.memory: memory is no budget, since a search needs as much for its first candidate as for its last; "
                "`noisekit pick RUN --memory 16GiB` takes it as a limit, and low_memory: true makes do with less"
            )
        if not isinstance(item, Budget):
            limits = Limits.read(item, here)
            with at(here):
                item = Budget(limits.seconds, limits.calls, limits.candidates, limits.equivalents)
        budgets[item] = None
    return tuple(budgets)


def read_weights(given: Any, where: str) -> str:
    """Weights by name, or a folder that is there."""
    from noisekit.rewards import Weights

    weights = text(given, where, "tiny, published or a folder")
    if weights not in get_args(Weights) and not os.path.exists(given_path(weights)):
        raise BadValue(f"{where} {weights!r} is neither tiny nor published, and no folder is there")
    return weights


def read_folder(given: Any, where: str) -> Path:
    """The path of a folder, which need not be there."""
    return given_path(given if isinstance(given, Path) else text(given, where, "a folder"))
