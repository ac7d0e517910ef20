"""The ready plans of the papers, and how to run a part of one or try it on another model.

    scale s      the first ⌈s·n⌉ prompts of each suite
    model M      every model becomes M, and where M is "tiny" the model of the tiny world that is like it: its one-step
                 student, or the model of turns; prompts, metrics and rewards follow

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
from noisekit.prompts import BUNDLED
from noisekit.prompts.cards import SuiteCard
from noisekit.prompts.cards import cards as suite_cards
from noisekit.registry import Expression

#: What the tiny world has for all models that are neither of one step nor of frames; with "tiny" all three are meant.
TINY = "tiny"
ONE_STEP, FRAMES = "tiny-turbo", "tiny-orbit"
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
        """The paragraphs of the first comment: title, what is printed, what it costs, what is unknown, what is to be done
        with a run then, what it needs.
        """
        lines = [line[2:] for line in self.text.splitlines() if line.startswith("# ")]
        return tuple(re.split(r"\n(?=[A-Z][a-z]+: |Needs )", "\n".join(lines)))

    def note(self, kind: str) -> str:
        """The paragraph that begins with "Cost:", "Printed:", "Unknown:" or "Then:", without that; "" if there is none."""
        found = (note for note in self.notes if note.startswith(f"{kind}: "))
        return " ".join(next(found, f"{kind}: ").split()[1:])

    @property
    def needs(self) -> str:
        """What it takes besides models, prompts and metrics that are fetched by name; "" where it takes nothing."""
        found = (" ".join(note.split()) for note in self.notes if note.startswith("Needs "))
        return next((f"it needs{note.removeprefix('Needs')}" for note in found), "")

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
                {"suite": name, "limit": math.ceil(scale * size)} for name, size in self.suites.items()
            ]
        return plan

    @property
    def suites(self) -> dict[str, int]:
        """How many prompts it takes of each of its suites, by name; a folder of things is called by its path."""
        return _sizes(self.plan["prompts"])

    @property
    def folders(self) -> list[str]:
        """Those suites that are folders of the reader's own."""
        return [name for name in self.suites if name.partition(":")[0] not in (*BUNDLED, *suite_cards())]

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
        model: a card. "tiny" brings its own prompts, weights and metrics, tiny-turbo for one-step models, and tiny-orbit
            for those of frames.

    Returns:
        The plan, and by the text of each of its models that of the stand-in.
    """
    tiny = model == TINY
    models = {text: _stand_in(text, model, tiny) for text in plan["models"]}
    changed = dict(plan) | {"models": list(dict.fromkeys(models.values()))}
    changed["methods"] = [_method(given, model) for given in plan["methods"]]
    if tiny:
        suite = "turntable" if FRAMES in changed["models"] else "tiny"
        changed |= {"weights": "tiny", "metrics": _tiny_metrics(plan["metrics"], suite)}
        changed["prompts"] = {"suite": suite, "limit": sum(_sizes(plan["prompts"]).values())}
    return changed, models


def _stand_in(text: str, model: str, tiny: bool) -> str:
    name, settings, _ = read_model(text)
    card = model_cards()[name]
    kept = {key: value for key, value in settings.items() if key in ("steps", "guidance", "scheduler")}
    if tiny and settings.get("steps", card.steps) == 1:
        return ONE_STEP
    return registry.render(FRAMES if tiny and card.frames else model, kept)


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
        kept["model"] = ONE_STEP if model == TINY else model
    if "rewards" in kept and model == TINY:
        from noisekit.rewards import with_tiny

        said = kept["rewards"]
        kept["rewards"] = [with_tiny(one) for one in said] if isinstance(said, list) else with_tiny(said)
    return kept


def _tiny_metrics(metrics: list[str], suite: str) -> list[str]:
    """Those that have tiny weights or need none; of scenes the truth besides."""
    from noisekit.rewards.cards import variants

    published_only = {name for name, variant in variants().items() if variant.tiny is None} | {"lpips"}
    return [
        *(name for name in metrics if name not in published_only),
        *(["truth"] if suite == "tiny" else []),
    ]


def _sizes(prompts: Any) -> dict[str, int]:
    """How many prompts the key `prompts` of a plan takes of each suite."""
    given = prompts if isinstance(prompts, list) else [prompts]
    return dict(
        (one["suite"], one["limit"]) if isinstance(one, dict) else (one, _entries(one)) for one in given
    )


def _entries(suite: str) -> int:
    """How many prompts a suite, or a category of one, has."""
    name, _, category = suite.partition(":")
    if name in BUNDLED:
        return BUNDLED[name].entries
    card: SuiteCard = suite_cards()[name]
    return card.rows if category else card.entries
