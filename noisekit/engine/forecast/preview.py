"""What there is to do and what is missing for it, by cards, names and a store's own lines: nothing is loaded.

A setting is known again in a store by the names of its model and method and by the method's version, a score by its metric
and the weights' name. So images or scores that were made by other weights under the same names count as done here, and are
made again by a run, which looks at the weights themselves.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from noisekit.engine.checkpoints import covered
from noisekit.engine.forecast.overview import Absent, Line, Overview, Pace, opened
from noisekit.engine.missing import Contents, cells_of
from noisekit.engine.resolve import Incompatible, climbed_rewards, distinct_suites
from noisekit.engine.units import Job, at_most
from noisekit.errors import NoisekitError, NotSupported
from noisekit.hashing import digest
from noisekit.methods import NoiseMethod
from noisekit.methods.hypernoise import HyperNoise
from noisekit.methods.npnet import GoldenNoise
from noisekit.methods.rewarded import Rewarded, usual_weights
from noisekit.methods.transfer import Transfer
from noisekit.metrics.loading import check_metrics
from noisekit.metrics.weights import absent as absent_parts
from noisekit.models import Model
from noisekit.models.cards import Card, cards
from noisekit.models.outline import NotLoaded, Outline, outline
from noisekit.models.places import needs, presence
from noisekit.npnet.checkpoint import REPOSITORY
from noisekit.paths import given_path
from noisekit.plan.plan import Plan
from noisekit.plan.search import halves
from noisekit.plan.shard import Shard
from noisekit.plan.sources import ModelSource
from noisekit.rewards import published
from noisekit.rewards.cards import variants
from noisekit.store.store import Row, Store
from noisekit.types import Arm, Budget


def preview(
    plan: Plan,
    *,
    store: str | Path | None = None,
    shard: Shard | None = None,
    retry_failed: bool = False,
) -> Overview:
    """As `overview`, before any model or metric is loaded, and with all that is missing for the plan on this machine."""
    there = opened(plan, store)
    outlines = [source.outline() for source in plan.models]
    weights = plan.weights or usual_weights(model.card for model in outlines)
    methods = [method.with_weights(weights) for method in plan.methods]
    jobs, incompatible, problems = _jobs(plan, methods, outlines, _Known(there))
    contents, suites = Contents(there), distinct_suites(plan.suites)
    scored = _scored(there, weights)
    cells = [
        cells_of(
            job,
            suite,
            plan.seeds,
            plan.metrics,
            lambda key, name, _: (key, name) in scored,
            contents,
            shard=shard or Shard(),
            retry_failed=retry_failed,
        )
        for job in jobs
        for suite in suites
    ]
    pace = Pace(contents.table)
    lines = [Line.of(own, pace) for own in cells]
    if plan.search is not None:
        lines += _trials(plan, outlines[0])
        methods.append(plan.search.method_at(plan.search.first).with_weights(weights))
    metrics = (*plan.metrics, plan.search.metric) if plan.search else plan.metrics
    absent, broken = _lacking(methods, outlines, metrics, weights)
    sentences = tuple(dict.fromkeys([*broken, *problems]))
    return Overview(tuple(lines), tuple(incompatible), cells, there, {}, absent, sentences)


def _jobs(
    plan: Plan, methods: Sequence[NoiseMethod], outlines: Sequence[Model], known: _Known
) -> tuple[list[Job], list[Incompatible], list[str]]:
    """The jobs that the cards allow, each once; the pairs that do not go together; and what is wrong with artefacts."""
    jobs: dict[tuple[str, Arm], Job] = {}
    incompatible, problems = [], list[str]()
    for source, model in zip(plan.models, outlines, strict=True):
        for method in methods:
            for budget in plan.budgets:
                try:
                    resolved = method.resolved(model)
                    wrong = list(_check_artefacts(resolved))
                    problems += wrong
                    with suppress(NotLoaded):
                        if not wrong:
                            resolved.check(model)
                    if plan.curves and covered(resolved, budget, plan.budgets):
                        continue
                    job = known.job(source, model, resolved, budget, plan)
                except NotSupported as reason:
                    incompatible.append(Incompatible(model.label, str(method), str(reason)))
                else:
                    jobs.setdefault((model.label, job.arm), job)
    return list(jobs.values()), incompatible, problems


class _Known:
    """The settings of a store by the names of model and method, the newest of each."""

    def __init__(self, store: Store | None) -> None:
        rows = [] if store is None else store.lines("settings")
        self._settings = {(row["model"], Arm.read(row)): row for row in rows}
        self._models = {row["model"]: row["fields"]["model"] for row in rows}

    def job(self, source: ModelSource, model: Model, method: NoiseMethod, budget: Budget, plan: Plan) -> Job:
        """The job of a resolved method, with the setting under which the store has its images, if it has any."""
        own = budget if method.horizon else Budget()
        arm = Arm(str(method), own)
        unseen = {"control_scale": model.card.control_scale} if model.card.controlnet else {}
        about = {
            "model": self._models.get(model.label, unseen),
            "version": method.version,
            "noise": plan.noise,
        }
        row: Row = self._settings.get((model.label, arm), {})
        same = bool(row) and all(row["fields"][name] == about[name] for name in ("version", "noise"))
        fields: dict[str, Any] = row["fields"] if same else about
        return Job(
            source=source,
            method=method,
            budget=own,
            convention=plan.noise,
            fields=fields,
            setting=row["setting"] if same else digest(about | {"name": model.label, **arm.columns}),
            model=model.label,
            model_name=model.name,
            batch=model.card.batch,
            calls=at_most(method.cost(model).calls, own),
        )


def _scored(store: Store | None, weights: str) -> set[tuple[str, str]]:
    """Images of a store and metrics that scored them by weights of this name, or that have none."""
    if store is None:
        return set()
    names = {weights, given_path(weights).resolve().name, "none"}
    these = {row["metric_id"] for row in store.lines("metrics") if row["weights"] in names}
    table = store.columns("scores", {"id": "key", "metric": "text", "metric_id": "text"})
    table = table[table["metric_id"].isin(these)]
    return set(zip(table["id"], table["metric"], strict=True))


def _trials(plan: Plan, model: Model) -> Iterator[Line]:
    """The images of a search: of every trial on one half of the prompts, and of the best one on the other."""
    assert plan.search is not None
    budget = plan.search.budget
    calls = at_most(math.inf, budget)
    if budget.seconds is not None:  # which says nothing of calls: as many as the first trial would make
        calls = at_most(plan.search.method_at(plan.search.first).resolved(model).cost(model).calls, budget)
    for part, times, what in zip(
        halves(plan.suites), (plan.search.trials, 1), ("trials of", "best of"), strict=True
    ):
        name = f"{plan.search.trials} {what} {plan.search.method}"
        for suite in part:
            count = times * len(suite) * len(plan.seeds)
            yield Line(model.label, name, suite.name, missing=count, seconds=None, calls=calls)


def _lacking(
    methods: Sequence[NoiseMethod], outlines: Sequence[Model], metrics: Sequence[str], weights: str
) -> tuple[tuple[Absent, ...], list[str]]:
    """What can be downloaded and is not here, with the command for it; and in sentences what is wrong with weights."""
    parts = [part for model in outlines for method in methods for part in _parts(method, model)]
    searched = [outline(part.model) for part in parts if isinstance(part, Transfer)]
    models = dict.fromkeys(one for model in (*outlines, *searched) if (one := _model(model)) is not None)
    climbed = climbed_rewards(methods, outlines)
    climbed[weights] = list(dict.fromkeys([*metrics, *climbed.get(weights, [])]))
    judged = climbed.get("published", [])
    networks = absent_parts(judged)
    names = published.absent([*judged, *(part.reward for part in networks if part.reward)])
    checkpoints = {name: variants()[name].checkpoint for name in names}
    rewards = tuple(
        Absent(f"reward {name}", one.gigabytes, published.fetching([name]))
        for name, one in checkpoints.items()
    )
    judges = tuple(
        Absent(f"{part.name} of a metric ({part.home})", part.size, part.fetching)
        for part in networks
        if not part.reward
    )
    return (*models, *rewards, *judges), list(_reward_problems(climbed))


def _model(model: Model) -> Absent | None:
    if not isinstance(model, Outline) or presence(model.card) == "here":
        return None
    shipped: Card | None = cards().get(model.name)
    plain = shipped is not None and needs(shipped) == needs(model.card)
    name = model.name if plain else shlex.quote(model.label)
    return Absent(f"model {model.name}", model.card.gigabytes, f"noisekit models fetch {name}")


def _parts(method: NoiseMethod, model: Model) -> Iterator[NoiseMethod]:
    """A method and what it runs, resolved; nothing where it does not go with the model."""
    with suppress(NotSupported):
        yield from method.resolved(model).parts


def _reward_problems(climbed: dict[str, list[str]]) -> Iterator[str]:
    for weights, names in climbed.items():
        for name in names:
            if weights != "published" or name not in variants():
                try:
                    check_metrics([name], weights)
                except NoisekitError as problem:
                    yield str(problem)


def _check_artefacts(method: NoiseMethod) -> Iterator[str]:
    """What is wrong with artefacts of a resolved method; one that would have to be downloaded is not looked at.

    Raises `NotSupported` where the method needs one and nobody names any.
    """
    for part in method.parts:
        if isinstance(part, Rewarded | Transfer) or part.wrapped:
            continue
        if isinstance(part, GoldenNoise | HyperNoise) and _may_be_on_a_hub(part.artefact or ""):
            continue
        try:
            part.dependencies(torch.device("cpu"))
        except NotSupported:
            raise
        except NoisekitError as problem:
            yield str(problem)


def _may_be_on_a_hub(artefact: str) -> bool:
    return bool(REPOSITORY.fullmatch(artefact)) and not given_path(artefact).exists()
