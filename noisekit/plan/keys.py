"""The keys of a plan: one reader each, from what a YAML file or a caller says to checked values."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from noisekit import registry
from noisekit.errors import BadValue
from noisekit.methods import NoiseMethod, load_method
from noisekit.methods.base import checked_seeds
from noisekit.models.loading import MODEL_SETTINGS
from noisekit.paths import given_path
from noisekit.plan.checks import at, flag, mapping, number, text, whole
from noisekit.plan.grid import Entry, entries
from noisekit.plan.sources import ModelSource
from noisekit.plan.space import Search
from noisekit.prompts import PromptSuite, load_prompts
from noisekit.registry import checked_metrics, printed
from noisekit.rewards import Weights
from noisekit.types import Budget, Convention

#: What a suite may say beside its name.
SUITE_KEYS = ("suite", "category", "limit", "texts")

#: A seed, or the first and the last of several: "7", "0-9".
_SEEDS = re.compile(r"(?P<first>\d{1,30})(-(?P<last>\d{1,30}))?", re.ASCII)
#: Digits of a number of seeds that is read at all.
LONGEST_NUMBER = 30
#: Seeds of a plan.
MOST_SEEDS = 100_000


def _models(given: Any, where: str) -> tuple[ModelSource, ...]:
    sources: list[ModelSource] = []
    for entry in entries(given, where):
        if isinstance(entry.name, str) and not entry.name.strip():
            raise BadValue(f"{entry.where} is an empty text, where a model should be")
        source = ModelSource(entry.name, read_model_settings(entry.settings, entry.where))
        if source in sources:
            raise BadValue(f"{entry.where} is a model that the plan names already; give it once")
        sources.append(source)
    return tuple(sources)


def read_model_settings(given: Any, where: str) -> dict[str, Any]:
    return dict(mapping(given, where, MODEL_SETTINGS, "{steps: 20}"))


def _methods(given: Any, where: str) -> tuple[NoiseMethod, ...]:
    """Every method once, standard first; one that stands twice in a list is refused, with both places."""
    places: dict[str, str] = {}
    methods = [load_method("standard")]
    for entry in entries(given, where):
        with at(_place(entry)):
            method = _method(entry)
        name = str(method)
        if name in places:
            raise BadValue(f"{entry.where} and {places[name]} are both {name!r}; give it once")
        places[name] = entry.where
        if method != methods[0]:
            methods.append(method)
    return tuple(methods)


def _place(entry: Entry) -> str:
    return registry.render(entry.where, entry.settings) if entry.settings else entry.where


def _method(entry: Entry) -> NoiseMethod:
    if not isinstance(entry.name, str):
        if not isinstance(entry.name, NoiseMethod):
            raise BadValue(f"{printed(entry.name)} is not a method; give a name such as 'cosine(steps=20)'")
        return entry.name
    name, settings, wrapped = registry.parse(entry.name)
    twice = settings.keys() & entry.settings.keys()
    if twice:
        raise BadValue(f"setting {min(twice)!r} is given in the name and beside it; give it once")
    return load_method(registry.render(name, settings | entry.settings, wrapped))


def read_suites(given: Any, where: str, limit: int | None) -> tuple[PromptSuite, ...]:
    several = isinstance(given, list | tuple)
    listed = list(given) if several else [given]
    if not listed:
        raise BadValue(f"{where} is empty; give at least one suite or file")
    suites: list[PromptSuite] = []
    for i, item in enumerate(listed):
        here = f"{where}[{i}]" if several else where
        suite = _suite(item, here, limit)
        if suite.name in (other.name for other in suites):
            raise BadValue(
                f"{here}: two suites are called {suite.name!r}; give each once, and files names of their own"
            )
        suites.append(suite)
    return tuple(suites)


def _suite(given: Any, where: str, limit: int | None) -> PromptSuite:
    if not isinstance(given, Mapping):
        if not isinstance(given, str | Path | PromptSuite):
            raise BadValue(f"{where} is {printed(given)}, where the name of a suite or a file should be")
        with at(where):
            return load_prompts(given, limit)
    said = mapping(given, where, SUITE_KEYS, "{suite: tiny, limit: 10}")
    if ("suite" in said) == ("texts" in said):
        raise BadValue(
            f"{where} names no suite; write {{suite: tiny, limit: 10}}, or texts: [...] instead of suite"
        )
    own = whole(said["limit"], f"{where}.limit") if "limit" in said else limit
    if "texts" in said:
        if not isinstance(said["texts"], list | tuple):
            raise BadValue(f"{where}.texts is {printed(said['texts'])}, where a list of texts should be")
        with at(f"{where}.texts"):
            return load_prompts([text(one, f"[{i}]", "a text") for i, one in enumerate(said["texts"])], own)
    name = text(said["suite"], f"{where}.suite", "the name of a suite or a file")
    if "category" in said:
        base, sign, copy = name.partition("=")
        name = f"{base}:{said['category']}{sign}{copy}"
    with at(f"{where}.suite"):
        return load_prompts(name, own)


def _seeds(given: Any, where: str) -> tuple[int, ...]:
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


def _metrics(given: Any, where: str) -> tuple[str, ...]:
    listed = given if isinstance(given, list | tuple) else [given]
    names = [text(name, f"{where}[{i}]", "the name of a metric") for i, name in enumerate(listed)]
    with at(where):
        return tuple(checked_metrics(names))


def _budgets(given: Any, where: str) -> tuple[Budget, ...]:
    several = isinstance(given, list | tuple)
    if several and not given:
        raise BadValue(f"{where} is empty; give at least one budget, or leave the key out")
    listed = given if several else [given]
    return tuple(
        dict.fromkeys(_budget(item, f"{where}[{i}]" if several else where) for i, item in enumerate(listed))
    )


def _budget(given: Any, where: str) -> Budget:
    if isinstance(given, Budget):
        return given
    said = mapping(given, where, ("seconds", "calls", "candidates"), "{calls: 60}")
    limits = {name: number(said[name], f"{where}.{name}") for name in ("seconds", "calls") if name in said}
    candidates = whole(said["candidates"], f"{where}.candidates") if "candidates" in said else None
    with at(where):
        return Budget(**limits, candidates=candidates)


def _weights(given: Any, where: str) -> str:
    weights = text(given, where, "tiny, published or a folder")
    if weights not in get_args(Weights) and not os.path.exists(given_path(weights)):
        raise BadValue(f"{where} {weights!r} is neither tiny nor published, and no folder is there")
    return weights


def _one_of(choices: tuple[str, ...]) -> Callable[[Any, str], str]:
    def read(given: Any, where: str) -> str:
        if given not in choices:
            raise BadValue(f"{where} {given!r} is not one of {', '.join(choices)}")
        return str(given)

    return read


def _folder(given: Any, where: str) -> Path:
    return given_path(given if isinstance(given, Path) else text(given, where, "a folder"))


READERS: Mapping[str, Callable[[Any, str], Any]] = {
    "models": _models,
    "methods": _methods,
    "seeds": _seeds,
    "metrics": _metrics,
    "weights": _weights,
    "budget": _budgets,
    "noise": _one_of(get_args(Convention)),
    "batch": whole,
    "curves": flag,
    "search": Search.read,
    "keep_noise": flag,
    "low_memory": flag,
    "store": _folder,
}
