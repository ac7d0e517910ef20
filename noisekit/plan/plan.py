"""A plan: what to compare, checked before anything is loaded.

    models: [tiny, {tiny-turbo: {steps: [1, 2]}}]         # names, folders, hub ids; settings of load_model
    methods: [cosine, {reno: {steps: [10, 20, 50]}}]      # lists are grids; standard is always added
    prompts: {suite: tiny, category: relation, limit: 10} # a name, a file, one of these, or a list of them
    seeds: 4                                              # how many, or which: [0, 5, 7] or 0-9,20
    metrics: [clip_score, truth]
    budget: {calls: 60}                                   # seconds, calls, candidates; or a list of budgets
    store: runs/mine

Only models and methods have to be given. The same names are the arguments of `compare` and the options of the command line,
which make the same `Plan`. The networks' libraries are imported when the first method or model is checked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from noisekit.errors import BadValue, NoisekitError
from noisekit.paths import given_path
from noisekit.plan import axes
from noisekit.plan.reading import Keys, Whole
from noisekit.plan.search import Search
from noisekit.plan.sources import ModelSource
from noisekit.plan.yaml import read_yaml
from noisekit.prompts import PromptSuite
from noisekit.registry import DEFAULT_METRICS
from noisekit.types import Budget, Convention

if TYPE_CHECKING:
    from noisekit.methods import NoiseMethod
else:  # importing methods takes seconds, and neither a schema nor a template needs any
    NoiseMethod = Any

#: Images of a plan; a store of a million takes seconds to open.
MOST_IMAGES = 5_000_000


def _standard_alone() -> tuple[NoiseMethod, ...]:
    from noisekit.methods import load_method

    return (load_method("standard"),)


class Plan(Keys):
    """What to compare, checked. Every method is there once, standard first.

    Args:
        said: the keys of a plan file, which are the fields below by their written names. Models, methods and prompts may
            also be objects: a `Model` or a pipeline, a `NoiseMethod`, a `PromptSuite`.

    Raises:
        BadValue: in one sentence with the place in the plan.
    """

    example: ClassVar[str] = "models: [tiny]"

    settings: Mapping[str, Any] = Field(default_factory=dict)
    """Settings of `load_model` for every model that has none of its own: {steps: 20}; device, dtype, offload, too."""
    models: tuple[ModelSource, ...]
    """Cards, folders or hub ids; {tiny: {steps: [1, 2]}} gives settings of `load_model`, of which lists are grids."""
    methods: tuple[NoiseMethod, ...] = Field(default_factory=_standard_alone)
    """Expressions, or {reno: {steps: [10, 20]}}, of which lists are grids; standard is always added."""
    limit: Whole | None = None
    """Only the first so many prompts of every suite that has no limit of its own."""
    suites: tuple[PromptSuite, ...] = Field(default="tiny", alias="prompts", validate_default=True)
    """A suite or a file, {suite: tiny, category: relation, limit: 10}, {texts: [...]}, or a list of these."""
    seeds: tuple[int, ...] = (0,)
    """How many, or which: [0, 5, 7] or 0-9,20."""
    metrics: tuple[str, ...] = DEFAULT_METRICS
    """What scores the images."""
    weights: str | None = None
    """Of metrics and of the rewards that methods climb: tiny, published or a folder; tiny where all models are bundled."""
    budgets: tuple[Budget, ...] = Field(default=(Budget(),), alias="budget")
    """The most that an image may cost: {seconds: 2}, {calls: 60}, {candidates: 20}, or a list of these."""
    noise: Convention = "per_prompt"
    """per_prompt, or shared: one noise a seed for all prompts, as the papers do."""
    batch: Whole | None = None
    """Images that a method works on at once; the model card's where it is left out."""
    curves: bool = False
    """Score every search on its way too, for `noisekit pick`."""
    keep_noise: bool = False
    """Keep the noise of every image, as safetensors."""
    low_memory: bool = False
    """Score when all images are made, one network in memory at a time."""
    store: Path | None = None
    """The folder of the run, unless --store names another."""
    search: Search | None = None
    """Search a method's settings instead of comparing methods."""

    def __init__(self, /, **said: Any) -> None:
        try:
            super().__init__(**said)
        except ValidationError as error:
            raise self.refusal(error, "") from None

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, said: Any) -> Any:
        """What has to be there: models, and methods or a search, which has a method and a budget of its own."""
        if not isinstance(said, Mapping):
            return said
        given = {key for key, value in said.items() if value is not None}
        if not given <= set(cls.key_names()):  # of which is told first
            return said
        for key in ("models", "methods"):
            if key not in given and not (key == "methods" and "search" in given):
                raise BadValue(f"key {key!r} is missing; a plan names at least models and methods")
        for key in sorted({"methods", "budget"} & given if "search" in given else ()):
            raise BadValue(
                f"{key} and search do not go together: a search has its own; put {key} into another plan"
            )
        return said

    @field_validator("settings", mode="plain")
    @classmethod
    def _settings(cls, given: Any) -> Mapping[str, Any]:
        return axes.read_settings(given, "settings")

    @field_validator("models", mode="plain")
    @classmethod
    def _models(cls, given: Any, info: ValidationInfo) -> tuple[ModelSource, ...]:
        return axes.read_models(given, "models", info.data.get("settings", {}))

    @field_validator("methods", mode="plain")
    @classmethod
    def _methods(cls, given: Any) -> tuple[NoiseMethod, ...]:
        return axes.read_methods(given, "methods")

    @field_validator("suites", mode="plain")
    @classmethod
    def _suites(cls, given: Any, info: ValidationInfo) -> tuple[PromptSuite, ...]:
        return axes.read_suites(given, "prompts", info.data.get("limit"))

    @field_validator("seeds", mode="plain")
    @classmethod
    def _seeds(cls, given: Any) -> tuple[int, ...]:
        return axes.read_seeds(given, "seeds")

    @field_validator("metrics", mode="plain")
    @classmethod
    def _metrics(cls, given: Any) -> tuple[str, ...]:
        return axes.read_metrics(given, "metrics")

    @field_validator("weights", mode="plain")
    @classmethod
    def _weights(cls, given: Any) -> str:
        return axes.read_weights(given, "weights")

    @field_validator("budgets", mode="plain")
    @classmethod
    def _budgets(cls, given: Any) -> tuple[Budget, ...]:
        return axes.read_budgets(given, "budget")

    @field_validator("store", mode="plain")
    @classmethod
    def _store(cls, given: Any) -> Path:
        return axes.read_folder(given, "store")

    @field_validator("search", mode="plain", json_schema_input_type=Search | None)
    @classmethod
    def _search(cls, given: Any, info: ValidationInfo) -> Search:
        models = info.data.get("models", ())
        if len(models) > 1:
            raise BadValue(f"models: a search runs on one model, and {len(models)} are given")
        search = Search.read(given, "search")
        search.check_ends()
        return search

    @model_validator(mode="after")
    def _together(self) -> Self:
        self._check()
        return self

    def _check(self) -> None:
        if self.low_memory and self.curves:
            raise BadValue(
                "curves score images while a search goes on, and low_memory when all are made; leave one of them out"
            )
        if self.images > MOST_IMAGES:
            raise BadValue(
                f"the plan asks for {self.images:,} images, and the most is {MOST_IMAGES:,}; split it into several plans"
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
        chosen = {
            "models": tuple(replace(source, settings={**source.settings, **given}) for source in self.models),
            "weights": self.weights if weights is None else axes.read_weights(weights, "weights"),
            "low_memory": self.low_memory or low_memory,
        }
        plan = self.model_copy(update=chosen)
        plan._check()
        return plan

    def folder(self, store: str | Path | None = None) -> Path:
        """The store's folder: the given one, else the plan's own; raise `BadValue` where there is none."""
        chosen = store or self.store
        if chosen is None:
            raise BadValue("the plan names no store; write `store: FOLDER` into it, or give --store FOLDER")
        return given_path(chosen)


def load_plan(source: str | Path | Mapping[str, Any] | Plan) -> Plan:
    """The plan in a YAML file, or in a mapping with the same keys.

    Args:
        source: a file, a mapping, or a plan, which passes through.

    Returns:
        The plan, checked; no model and no weights are loaded yet.

    Raises:
        BadValue: with the place in the plan, and in a file the line: on an unknown or repeated key, a wrong type, an
            unknown name, an empty list, a method that stands twice, and a suite that is missing.
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


def _plan(said: Any) -> Plan:
    return (
        Plan(**{str(key): value for key, value in said.items()})
        if isinstance(said, Mapping)
        else Plan.read(said, "")
    )
