"""The ready plans of the papers, and how to run a part of one or try it on another model.

    scale s      the first ⌈s·n⌉ prompts of each suite
    model M      every model becomes M, a one-step model M's one-step student where M is "tiny"; prompts and rewards follow

A plan stays what the paper prints until somebody asks for something else, and says so then.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from typing import Any

import yaml

from noisekit import registry
from noisekit.errors import BadValue, unknown
from noisekit.models.cards import cards as model_cards
from noisekit.prompts.cards import SuiteCard
from noisekit.prompts.cards import cards as suite_cards
from noisekit.registry import Expression

#: What a model of the tiny world stands in for: one-step models by the first, all others by the second.
TINY = ("tiny-turbo", "tiny")
#: Settings of methods that name something of a published model; on another model its own card decides.
OF_A_MODEL = ("artefact",)


@dataclass(frozen=True)
class Table:
    """One table or figure of a paper.

    Args:
        name: by which it is asked for, such as "npnet-table-1".
        paper: the paper's title.
        text: its file.
    """

    name: str
    paper: str
    text: str

    @property
    def title(self) -> str:
        """What it shows, in one line."""
        return self.notes[0]

    @property
    def notes(self) -> tuple[str, ...]:
        """The paragraphs of the first comment: title, what is printed, what it costs, what is unknown, what it needs."""
        lines = [line[2:] for line in self.text.splitlines() if line.startswith("# ")]
        return tuple(re.split(r"\n(?=[A-Z][a-z]+: |Needs )", "\n".join(lines)))

    def note(self, kind: str) -> str:
        """The paragraph that begins with "Cost:", "Printed:" or "Unknown:", without that word; "" where there is none."""
        found = (note for note in self.notes if note.startswith(f"{kind}: "))
        return " ".join(next(found, f"{kind}: ").split()[1:])

    @property
    def plan(self) -> dict[str, Any]:
        """The plan as the paper prints it, in the keys of a plan file."""
        plan: dict[str, Any] = yaml.safe_load(self.text)
        return plan

    def scaled(self, scale: float) -> dict[str, Any]:
        """The plan with a fraction of the prompts of each suite.

        Args:
            scale: above 0, at most 1.

        Raises:
            BadValue: where it is neither.
        """
        if not 0 < scale <= 1:
            raise BadValue(f"scale={scale!r} is not a fraction; give a number above 0 and at most 1")
        plan = self.plan
        if scale < 1:
            plan["prompts"] = [
                {"suite": name, "limit": math.ceil(scale * _entries(name))} for name in self.suites
            ]
        return plan

    @property
    def suites(self) -> list[str]:
        """The names of its prompt suites."""
        given = self.plan["prompts"]
        return given if isinstance(given, list) else [given]

    @property
    def models(self) -> list[Expression]:
        """Its models, name and settings apart."""
        return [read_model(text) for text in self.plan["models"]]


def tables() -> Mapping[str, Table]:
    """Every table by name, in the order of the papers."""
    return {
        f"{paper}-{name}": load_table(f"{paper}-{name}")
        for paper, about in papers().items()
        for name in about["tables"]
    }


def load_table(name: str) -> Table:
    """A table by name.

    Args:
        name: the paper's folder and the table's file, such as "npnet-table-1".

    Raises:
        BadValue: where there is none of that name.
    """
    known = {f"{paper}-{table}": paper for paper, about in papers().items() for table in about["tables"]}
    if name not in known:
        raise unknown("table of a paper", name, known)
    paper = known[name]
    file = files("noisekit.papers") / paper / f"{name.removeprefix(paper + '-')}.yaml"
    return Table(name, papers()[paper]["title"], file.read_text(encoding="utf-8"))


@cache
def papers() -> Mapping[str, Any]:
    """By folder the title of a paper, its tables, and what is left out with the reason."""
    with as_file(files("noisekit.papers") / "papers.yaml") as path:
        listed: Mapping[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return listed


def read_model(text: str) -> Expression:
    """Name and settings of a model's label, such as "sdxl-turbo(steps=4)"."""
    name, bracket, rest = text.partition("(")
    return Expression(name, registry.parse(f"model({rest}", "model").settings if bracket else {})


def tried_on(plan: Mapping[str, Any], model: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The plan on another model, and the label of each printed model with the one that stands in for it.

    Args:
        plan: in the keys of a plan file.
        model: a card. "tiny" brings its own prompts, weights and metrics, and tiny-turbo for one-step models.

    Returns:
        The plan, and by the text of each of its models that of the stand-in.
    """
    tiny = model == TINY[1]
    models = {text: _stand_in(text, model, tiny) for text in plan["models"]}
    changed = dict(plan) | {"models": list(dict.fromkeys(models.values()))}
    changed["methods"] = [_method(given, model) for given in plan["methods"]]
    if tiny:
        changed |= {"weights": "tiny", "metrics": _tiny_metrics(plan["metrics"])}
        given = plan["prompts"] if isinstance(plan["prompts"], list) else [plan["prompts"]]
        sizes = [one["limit"] if isinstance(one, dict) else _entries(one) for one in given]
        changed["prompts"] = {"suite": "tiny", "limit": sum(sizes)}
    return changed, models


def _stand_in(text: str, model: str, tiny: bool) -> str:
    name, settings, _ = read_model(text)
    one_step = settings.get("steps", model_cards()[name].steps) == 1
    kept = {key: value for key, value in settings.items() if key in ("steps", "guidance", "scheduler")}
    return registry.render(TINY[0] if tiny and one_step else model, {} if tiny and one_step else kept)


def _method(given: Any, model: str) -> Any:
    """An entry of a plan's methods without what belongs to the printed model alone."""
    if isinstance(given, str):
        name, settings, wrapped = registry.parse(given)
        inner = [_method(text, model) for text in wrapped]
        return registry.render(name, _kept(settings, model), inner)
    return {name: _kept(settings, model) for name, settings in given.items()}


def _kept(settings: Mapping[str, Any], model: str) -> dict[str, Any]:
    kept = {key: value for key, value in settings.items() if key not in OF_A_MODEL}
    if "model" in kept:
        kept["model"] = TINY[0] if model == TINY[1] else model
    if "rewards" in kept and model == TINY[1]:
        from noisekit.rewards import with_tiny

        said = kept["rewards"]
        kept["rewards"] = [with_tiny(one) for one in said] if isinstance(said, list) else with_tiny(said)
    return kept


def _tiny_metrics(metrics: list[str]) -> list[str]:
    from noisekit.rewards.cards import variants

    published_only = {name for name, variant in variants().items() if variant.tiny is None}
    return [*(name for name in metrics if name not in published_only), "truth"]


def _entries(suite: str) -> int:
    """How many prompts a public suite, or a category of one, has."""
    name, _, category = suite.partition(":")
    card: SuiteCard = suite_cards()[name]
    return card.rows if category else card.entries
