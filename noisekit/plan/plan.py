"""A plan: what to compare, checked before anything is loaded.

    models: [tiny, {tiny-turbo: {steps: [1, 2]}}]         # names, folders, hub ids; settings of load_model
    methods: [cosine, {reno: {steps: [10, 20, 50]}}]      # lists are grids; standard is always added
    prompts: {suite: tiny, category: relation, limit: 10} # a name, a file, one of these, or a list of them
    seeds: 4                                              # how many, or which: [0, 5, 7] or 0-9,20
    metrics: [clip_score, truth]
    weights: tiny                                         # of metrics and climbed rewards: tiny, published or a folder
    budget: {calls: 60}                                   # seconds, calls, candidates; or a list of budgets
    noise: per_prompt                                     # or shared
    batch: 8
    curves: true                                          # score every search on its way too; see `noisekit pick`
    settings: {steps: 20}                                 # of load_model, for every model; device, dtype, offload, too
    low_memory: true                                      # score when all images are made, one network at a time
    keep_noise: true                                      # of every image, as safetensors; see `Run.noise`
    store: runs/mine

Only models and methods have to be given. The same names are the arguments of `compare` and the options of the command line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from noisekit.errors import BadValue, NoisekitError
from noisekit.methods import NoiseMethod, load_method
from noisekit.paths import given_path
from noisekit.plan.checks import mapping, whole
from noisekit.plan.keys import READERS, read_model_settings, read_suites
from noisekit.plan.sources import ModelSource
from noisekit.plan.space import Search
from noisekit.plan.yaml import read_yaml
from noisekit.prompts import PromptSuite
from noisekit.registry import DEFAULT_METRICS
from noisekit.types import Budget, Convention

#: Images of a plan; a store of a million takes seconds to open.
MOST_IMAGES = 5_000_000


@dataclass(frozen=True)
class Plan:
    """A checked plan; `load_plan` makes it. Every method is there once, standard first."""

    models: tuple[ModelSource, ...]
    methods: tuple[NoiseMethod, ...]
    suites: tuple[PromptSuite, ...]
    seeds: tuple[int, ...] = (0,)
    metrics: tuple[str, ...] = DEFAULT_METRICS
    weights: str | None = None
    budgets: tuple[Budget, ...] = (Budget(),)
    noise: Convention = "per_prompt"
    batch: int | None = None
    curves: bool = False
    keep_noise: bool = False
    low_memory: bool = False
    store: Path | None = None
    search: Search | None = None

    def __post_init__(self) -> None:
        if self.low_memory and self.curves:
            raise BadValue(
                "curves score images while a search goes on, and low_memory when all are made; leave one of them out"
            )

    @property
    def images(self) -> int:
        """How many there are of every model, method, budget, prompt and seed."""
        axes = (self.models, self.methods, self.budgets, self.seeds)
        return math.prod(map(len, axes)) * sum(map(len, self.suites))

    def on_this_machine(
        self, *, weights: str | None = None, low_memory: bool = False, settings: Mapping[str, Any]
    ) -> Plan:
        """The same plan with what depends on the machine chosen anew, where something is given for it."""
        given = {name: value for name, value in settings.items() if value is not None}
        models = tuple(replace(source, settings={**source.settings, **given}) for source in self.models)
        weights = self.weights if weights is None else READERS["weights"](weights, "weights")
        return replace(self, models=models, weights=weights, low_memory=self.low_memory or low_memory)

    def folder(self, store: str | Path | None = None) -> Path:
        """The store's folder: the given one, else the plan's own; raise `BadValue` where there is none."""
        chosen = store or self.store
        if chosen is None:
            raise BadValue("the plan names no store; write `store: FOLDER` into it, or give --store FOLDER")
        return given_path(chosen)


def load_plan(source: str | Path | Mapping[str, Any] | Plan) -> Plan:
    """The plan in a YAML file, or in a mapping with the same keys; a plan passes through.

    In a mapping, models, methods and prompts may also be objects: a `Model` or a pipeline, a `NoiseMethod`, a `PromptSuite`.
    Raises `BadValue` with the place in the plan on an unknown or repeated key, a wrong type, an unknown name, an empty list,
    a method that stands twice, and a suite that is missing.
    """
    if isinstance(source, Plan):
        return source
    if isinstance(source, Mapping):
        return _plan(source)
    path = given_path(source)
    said = read_yaml(path)
    if said.value is None:
        raise BadValue(f"plan {str(path)!r} is empty; a plan names at least models and methods")
    try:
        return _plan(said.value)
    except NoisekitError as error:
        line = said.line(str(error))
        place = "" if line is None else f", line {line}"
        raise type(error)(f"plan {str(path)!r}{place}: {error}") from None


def _plan(given: Any) -> Plan:
    said = mapping(given, "plan", (*READERS, "prompts", "limit", "settings"), "models: [tiny]")
    for key in ("models", "methods"):
        if key not in said and not (key == "methods" and "search" in said):
            raise BadValue(f"key {key!r} is missing; a plan names at least models and methods")
    values = {key: read(said[key], key) for key, read in READERS.items() if key in said}
    settings = read_model_settings(said.get("settings", {}), "settings")
    values["models"] = tuple(
        ModelSource(source.given, {**settings, **source.settings}) for source in values["models"]
    )
    limit = whole(said["limit"], "limit") if "limit" in said else None
    values["suites"] = read_suites(said.get("prompts", "tiny"), "prompts", limit)
    if "budget" in values:
        values["budgets"] = values.pop("budget")
    if "search" in values:
        _check_search(values)
    plan = Plan(**values)
    if plan.images > MOST_IMAGES:
        raise BadValue(
            f"the plan asks for {plan.images:,} images, and the most is {MOST_IMAGES:,}; split it into several plans"
        )
    return plan


def _check_search(values: dict[str, Any]) -> None:
    """A search has a method and a budget of its own, and one model."""
    for key in ("methods", "budgets"):
        if key in values:
            name = "budget" if key == "budgets" else key
            raise BadValue(
                f"{name} and search do not go together: a search has its own; put {name} into another plan"
            )
    if len(values["models"]) != 1:
        raise BadValue(f"models: a search runs on one model, and {len(values['models'])} are given")
    values["methods"] = (load_method("standard"),)
