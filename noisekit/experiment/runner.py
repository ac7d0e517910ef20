"""compare: every method on every model, prompt and seed, paired with standard sampling, into a store that is never redone.

    cells   = models × methods × prompts × seeds         standard is always one of the methods
    missing = cells − store                              generated in batches, stored after each
    scores  = cells × metrics − store                    of the stored 8-bit images
    spread  = between the images of a prompt             wherever it has several seeds

Everything that can be refused is refused before the first image; whatever stops a run later, finished images stay.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from noisekit.errors import BadValue
from noisekit.evaluation import Evaluator
from noisekit.evaluation.diversity import load_embedding
from noisekit.evaluation.evaluator import checked_metrics
from noisekit.experiment.diversity import DiversityMeter
from noisekit.experiment.job import Job
from noisekit.experiment.run import Run
from noisekit.experiment.scorer import Scorer
from noisekit.experiment.store import Store
from noisekit.methods import NoiseMethod, load_method
from noisekit.methods.base import checked_seeds
from noisekit.models import Model, load_model
from noisekit.noise import Convention
from noisekit.prompts import PromptSuite, load_prompts
from noisekit.registry import DEFAULT_METRICS, shortened
from noisekit.types import Budget


def compare(
    models: str | Model | Sequence[str | Model],
    methods: str | NoiseMethod | Sequence[str | NoiseMethod],
    prompts: str | Path | Sequence[str] | PromptSuite = "tiny",
    *,
    limit: int | None = None,
    seeds: int | Sequence[int] = 1,
    metrics: Sequence[str] = DEFAULT_METRICS,
    store: str | Path,
    budget: Budget | None = None,
    convention: Convention = "per_prompt",
    batch: int | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Run:
    """Generate and score what the store lacks, and return everything that it then holds.

    prompts, limit: as for `load_prompts`. seeds: how many (0, 1, …), or which. budget: the most that one image of any
    method may cost. batch: images that a method works on at once (None: the model card's). settings: passed on to
    `load_model`, such as {"steps": 20}. Raises `BadValue`, `NotSupported` and `CorruptWeights` before anything is
    computed.
    """
    suite = load_prompts(prompts, limit)
    if batch is not None and not (isinstance(batch, int) and batch >= 1):
        raise BadValue(f"batch={batch!r} is not a whole number of 1 or more")
    if convention not in get_args(Convention):
        raise BadValue(f"noise {convention!r} is not one of {', '.join(get_args(Convention))}")
    numbers = _seeds(seeds)
    chosen = [load_method(method) for method in ("standard", *_listed(methods))]
    names = checked_metrics(metrics)
    with Store.prepare(store, convention) as opened:
        loaded = [load_model(model, **(settings or {})) for model in _listed(models)]
        jobs = [Job(model, method, budget or Budget(), convention) for model in loaded for method in chosen]
        evaluator = Evaluator(names, device=loaded[0].device)
        meter = DiversityMeter(opened, load_embedding(device=loaded[0].device), evaluator.batch)
        scorer = Scorer(opened, evaluator)
        _warn_of_left_out(suite)
        for model in loaded:
            warn_of_unread(model, suite.texts)
        for job in _distinct(jobs):
            job.run(scorer, suite, numbers, batch, progress)
            meter.measure(job.setting, {prompt.id for prompt in suite})
        return Run(opened)


def _listed(given: Any) -> list[Any]:
    """One or several as a list; a text is one."""
    items = list(given) if isinstance(given, list | tuple) else [given]
    if not items:
        raise BadValue("no models or no methods were given; give at least one of each")
    return items


def _seeds(seeds: int | Sequence[int]) -> list[int]:
    if isinstance(seeds, int):
        if isinstance(seeds, bool) or seeds < 1:
            raise BadValue(f"seeds={seeds!r} is not a whole number of 1 or more, nor a list of seeds")
        return list(range(seeds))
    return list(dict.fromkeys(checked_seeds(seeds)))


def _distinct(jobs: Sequence[Job]) -> list[Job]:
    """Jobs without repetitions; raise where two that differ would stand under one name in every table."""
    distinct = {job.setting: job for job in jobs}
    names: dict[tuple[str, ...], str] = {}
    for setting, job in distinct.items():
        name = tuple(job.labels.values())
        if names.setdefault(name, setting) != setting:
            raise BadValue(f"two different models are both called {name[0]!r}; compare them in two stores")
    return list(distinct.values())


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


def _warn_of_left_out(suite: PromptSuite) -> None:
    if suite.empty or suite.repeated:
        warnings.warn(
            f"{suite.empty} empty and {suite.repeated} repeated prompts of {suite.name!r} are left out",
            stacklevel=3,
        )
