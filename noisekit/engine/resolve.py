"""What a plan comes to: `resolve(plan) → jobs`, every method with every model and budget that it goes with.

Models and metrics are loaded here, one model after another, so that whatever cannot work is told before the first image.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from noisekit.engine.checkpoints import covered
from noisekit.engine.model_cache import ModelCache
from noisekit.engine.units import Job
from noisekit.engine.worker import Resources
from noisekit.errors import BadValue, NoisekitError, NotSupported
from noisekit.methods import NoiseMethod
from noisekit.methods.rewarded import Rewarded, usual_weights
from noisekit.metrics.loading import check_metrics
from noisekit.models import Model
from noisekit.models.outline import NotLoaded
from noisekit.plan.plan import Plan
from noisekit.plan.reading import at
from noisekit.prompts import PromptSuite
from noisekit.registry import shortened
from noisekit.rewards import check_weights
from noisekit.types import Arm


class Incompatible(NamedTuple):
    """A method that a model cannot run, and why."""

    model: str
    method: str
    reason: str


@dataclass(frozen=True)
class Resolved:
    """What a plan comes to: its jobs, the pairs that do not go together, and the resources that the work needs."""

    suites: tuple[PromptSuite, ...]
    seeds: tuple[int, ...]
    jobs: tuple[Job, ...]
    incompatible: tuple[Incompatible, ...]
    resources: Resources


def resolve(plan: Plan, store: Path, *, strict: bool, cache: ModelCache, progress: bool = False) -> Resolved:
    """Load the models of a plan, one after another, and its metrics.

    cache: keeps the model that was loaded last. strict: raise on a pair that does not go together, instead of listing it.
    Raises `BadValue`, `NotSupported` and `CorruptWeights` on all that would stop every image of a job.
    """
    jobs: list[Job] = []
    incompatible: list[Incompatible] = []
    devices = []
    suites = distinct_suites(plan.suites)
    outlines = [source.outline() for source in plan.models]
    weights = plan.weights or usual_weights(outline.card for outline in outlines)
    methods = [method.with_weights(weights) for method in plan.methods]
    check_rewards(plan.metrics, weights, methods, outlines)
    for source in [source.saving() if plan.low_memory else source for source in plan.models]:
        model = cache.get(source)
        devices.append(str(model.device))
        for suite in suites:
            warn_of_unread(model, suite.texts)
        for method in methods:
            for budget in plan.budgets:
                if plan.curves and covered(method.resolved(model), budget, plan.budgets):
                    continue
                try:
                    jobs.append(Job.of(source, model, method, budget, plan.noise))
                except NotSupported as reason:
                    if strict:
                        raise
                    incompatible.append(Incompatible(model.label, str(method), str(reason)))
    resources = Resources(
        store=store,
        convention=plan.noise,
        metrics=plan.metrics,
        weights=weights,
        device=devices[0],
        progress=progress,
        curves=plan.curves,
        keep_noise=plan.keep_noise,
        low_memory=plan.low_memory,
        cache=cache,
    )
    with at("metrics"):
        _ = resources.evaluator  # what cannot be loaded is told here, and not at the first image
    return Resolved(suites, plan.seeds, tuple(distinct_jobs(jobs)), tuple(incompatible), resources)


def check_rewards(
    metrics: Sequence[str], weights: str, methods: Sequence[NoiseMethod], outlines: Sequence[Model]
) -> None:
    """Raise on checkpoints that metrics or methods lack, all at once and before any model is loaded."""
    climbed = climbed_rewards(methods, outlines)
    with at("metrics"):
        check_metrics(list(dict.fromkeys([*metrics, *climbed.pop(weights, [])])), weights)
    for own, names in climbed.items():
        check_weights(names, own)


def check_climbed(methods: Sequence[NoiseMethod], outlines: Sequence[Model]) -> None:
    """Raise on checkpoints that methods lack, all at once and before any model is loaded."""
    for weights, names in climbed_rewards(methods, outlines).items():
        check_weights(names, weights)


def climbed_rewards(methods: Sequence[NoiseMethod], outlines: Sequence[Model]) -> dict[str, list[str]]:
    """The rewards that methods climb on some of the models, each once, by their weights."""
    named: dict[str, dict[str, None]] = {}
    for method in climbing(methods, outlines):
        named.setdefault(str(method.weights), {}).update(dict.fromkeys(method.climbed))
    return {weights: list(names) for weights, names in named.items()}


def climbing(methods: Sequence[NoiseMethod], outlines: Sequence[Model]) -> Iterator[Rewarded]:
    """Every method that climbs rewards on some of the models, resolved, those that others wrap included."""
    for model in outlines:
        for method in methods:
            resolved = method.resolved(model)
            try:
                resolved.check(model)
            except NotLoaded:
                pass
            except NoisekitError:  # told with the pair
                continue
            yield from (part for part in resolved.parts if isinstance(part, Rewarded))


def distinct_jobs(jobs: Sequence[Job]) -> list[Job]:
    """Jobs without repetitions; raise where two models are one, or two that differ would share a name in every table."""
    distinct: dict[str, Job] = {}
    names: dict[tuple[str, Arm], str] = {}
    for job in jobs:
        first = distinct.setdefault(job.setting, job)
        if first.source != job.source:
            one, other = (
                f"{own.model!r} (given as {shortened(str(own.source.given))})" for own in (first, job)
            )
            raise BadValue(
                f"models {one} and {other} are one and the same, down to every weight; give it once"
            )
        name = job.model, job.arm
        if names.setdefault(name, job.setting) != job.setting:
            raise BadValue(f"two different models are both called {name[0]!r}; compare them in two stores")
    return list(distinct.values())


def distinct_suites(suites: Sequence[PromptSuite]) -> tuple[PromptSuite, ...]:
    """Suites in which no prompt stands twice: one that several suites have counts for the first of them."""
    seen: set[str] = set()
    distinct = []
    for suite in suites:
        own = tuple(prompt for prompt in suite if prompt.text not in seen)
        if len(own) < len(suite):
            warnings.warn(
                f"{len(suite) - len(own)} of {len(suite)} prompts of {suite.name!r} are in an earlier suite and count there",
                stacklevel=3,
            )
        if suite.empty or suite.repeated:
            warnings.warn(
                f"{suite.empty} empty and {suite.repeated} repeated prompts of {suite.name!r} are left out",
                stacklevel=3,
            )
        seen.update(suite.texts)
        distinct.append(replace(suite, prompts=own))
    return tuple(distinct)


def warn_of_unread(model: Model, prompts: Sequence[str]) -> None:
    """One warning that lists the prompts that the model's text encoder does not read whole."""
    unread = model.unread(prompts)
    if unread:
        some = "; ".join(f"{shortened(text)!r}: {reason}" for text, reason in list(unread.items())[:5])
        more = f"; and {len(unread) - 5} more" if len(unread) > 5 else ""
        warnings.warn(
            f"model {model.name!r} does not read {len(unread)} of {len(prompts)} prompts whole: {some}{more}",
            stacklevel=3,
        )
