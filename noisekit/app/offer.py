"""What the app's users may choose from. Whoever starts it decides: no path and no hub id comes in by the page.

A setting that names something on the machine (`parameter(..., names=...)`, or the weights of rewards) takes what cards and
the methods given at the start name, and other texts hold no path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noisekit import registry
from noisekit.errors import BadValue, unknown
from noisekit.methods import load_method
from noisekit.methods.base import NoiseMethod
from noisekit.methods.parameters import settings
from noisekit.methods.rewarded import Rewarded
from noisekit.models.cards import cards
from noisekit.models.outline import outline
from noisekit.models.places import presence
from noisekit.paths import given_path
from noisekit.plan.sources import ModelSource
from noisekit.store.store import MANIFEST

#: A run's name in the app: a folder's, and no way out of it.
NAME = re.compile(r"\w[\w-]{0,63}")
_PATH = re.compile(r"[/\\\0]|^[.~]")
#: How the wrappers begin that are nothing without a method in their brackets.
_WRAPPERS = {
    "then": "then(best_of(n=4), random_search(steps=8))",
    "transfer": "transfer(best_of(n=4), model={model!r})",
}


@dataclass(frozen=True)
class Offer:
    """models, methods: texts as `load_model` and `load_method` read them. runs: the folder whose runs are shown."""

    models: tuple[str, ...]
    methods: tuple[str, ...]
    runs: Path

    @classmethod
    def of(cls, models: Sequence[str], methods: Sequence[str], runs: str | Path) -> Offer:
        """Of what is given at the start: these models, or those that are on this machine; these methods, and all there are.

        Raises `BadValue` on models and methods that are none.
        """
        # The page asks for words: what wants a picture besides is not offered by itself.
        worded = [card for card in cards().values() if card.frames is None and card.controlnet is None]
        here = [card.name for card in worded if card.bundled or presence(card) == "here"]
        for model in models:
            outline(model)
        offered = tuple(dict.fromkeys(models or here))
        given = [str(load_method(method)) for method in methods]
        named = [_WRAPPERS.get(name, name).format(model=offered[-1]) for name in registry.METHODS]
        return cls(offered, tuple(dict.fromkeys([*given, *filter(_loads, named)])), given_path(runs))

    def source(self, model: str) -> ModelSource:
        """Where a model that is offered comes from."""
        if model not in self.models:
            raise unknown("model of this app", model, self.models)
        return ModelSource(model)

    def method(self, expression: str) -> NoiseMethod:
        """A method that names nothing but what is offered."""
        self._check(expression)
        return load_method(expression)

    def named(self, kind: str) -> tuple[str, ...]:
        """What a setting may name that names things of this kind."""
        if kind == "model":
            return self.models
        known = {"weights": ["tiny", "published"]}.get(kind, [])
        for own in (card.methods for card in cards().values() if card.bundled):
            known += [value for given in own.values() for name, value in given.items() if name == kind]
        given = [value for text in self.methods for which, value in _named(text) if which == kind]
        return tuple(dict.fromkeys([*known, *given]))

    def folder(self, run: str) -> Path:
        """The folder of a run that is there."""
        if run not in self.stores():
            raise unknown("run", run, self.stores())
        return self.runs / run

    def new_folder(self, run: str) -> Path:
        """The folder of a run that is to be begun, or gone on with."""
        if not NAME.fullmatch(run):
            raise BadValue(
                f"{run[:80]!r} is no name of a run; take letters, digits, - and _, up to 64 of them"
            )
        return self.runs / run

    def stores(self) -> list[str]:
        """The names of the runs that there are, the newest first."""
        if not self.runs.is_dir():
            return []
        found = [
            path for path in self.runs.iterdir() if NAME.fullmatch(path.name) and (path / MANIFEST).is_file()
        ]
        return [
            path.name
            for path in sorted(found, key=lambda path: (path / MANIFEST).stat().st_mtime, reverse=True)
        ]

    def _check(self, expression: str) -> None:
        for kind, value in _named(expression):
            if kind and value not in self.named(kind):
                raise BadValue(
                    f"{value[:80]!r} is no {kind} that this app offers ({', '.join(self.named(kind))}); start it with "
                    "--method or --model to offer more"
                )
            if not kind and _PATH.search(value):
                raise BadValue(f"{value[:80]!r} looks like a path, and this app takes none")


def _loads(method: str) -> bool:
    """Whether a method can be offered; one of an installed package may want something in its brackets."""
    try:
        load_method(method)
    except BadValue:
        return False
    return True


def _named(expression: str) -> Iterator[tuple[str, str]]:
    """The texts among the settings of a method and all that it wraps, with the kind of thing that each names."""
    name, given, wrapped = registry.parse(expression)
    cls = registry.load("method", name, registry.METHODS)
    for setting, value in given.items():
        if isinstance(value, str):
            yield kind_of(cls, setting), value
    for inner in wrapped:
        yield from _named(inner)


def kind_of(cls: Any, setting: str) -> str:
    """What a setting of a method class names that lies on the machine; "" where it names nothing."""
    if setting == "weights" and issubclass(cls, Rewarded):
        return "weights"
    facts = settings(cls).get(setting)
    return "" if facts is None else str(facts.metadata["names"])
