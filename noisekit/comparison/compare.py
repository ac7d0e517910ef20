"""The one way through: a plan becomes jobs, jobs become units of what the store lacks, units become rows, and rows a run.

    plan ──resolve──▸ jobs ──missing──▸ units ──execute──▸ rows of the store ──▸ Run(store) ──▸ Run.report()

    cells   = models × methods × budgets × prompts × seeds         standard is always one of the methods
    missing = cells − store                              generated in batches, stored after each
    scores  = cells × metrics − store                    of the stored 8-bit images
    spread  = between the images of a prompt             wherever it has several seeds

Everything that can be refused is refused before the first image; whatever stops a run later, finished images stay.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from noisekit.engine.diversity import DiversityMeter, several
from noisekit.engine.execute import Observer, execute
from noisekit.engine.executors import check_executor
from noisekit.engine.missing import Cells, Missing, missing
from noisekit.engine.model_cache import ModelCache
from noisekit.engine.resolve import Resolved, resolve
from noisekit.engine.units import Generation
from noisekit.engine.worker import describe
from noisekit.errors import BadValue, NoisekitError, Unwritable
from noisekit.evaluation.embedding import load_embedding
from noisekit.hashing import digest
from noisekit.methods import NoiseMethod, load_method
from noisekit.models import Model
from noisekit.plan.plan import Plan
from noisekit.plan.shard import Shard
from noisekit.prompts import PromptSuite, load_prompts
from noisekit.registry import DEFAULT_METRICS
from noisekit.runs import Run
from noisekit.store.store import Store
from noisekit.types import Arm, Budget, Convention

#: Bytes that have to be free before images are made.
ROOM = 32 * 2**20


def compare(
    models: str | Model | Sequence[str | Model],
    methods: str | NoiseMethod | Sequence[str | NoiseMethod],
    prompts: str | Path | Sequence[str] | PromptSuite = "tiny",
    *,
    limit: int | None = None,
    seeds: int | str | Sequence[int] = 1,
    metrics: Sequence[str] = DEFAULT_METRICS,
    weights: str | None = None,
    store: str | Path,
    budget: Budget | None = None,
    noise: Convention = "per_prompt",
    batch: int | None = None,
    curves: bool = False,
    keep_noise: bool = False,
    low_memory: bool = False,
    settings: Mapping[str, Any] | None = None,
    progress: bool = True,
    observe: Observer | None = None,
) -> Run:
    """Generate and score what the store lacks, and return everything that it then holds.

    Args:
        models: names of cards, folders, hub ids, pipelines or models; one or several.
        methods: expressions such as "cosine(steps=20)", or methods; standard is always one of them.
        prompts: a suite, a file, texts, or what `load_prompts` gives.
        limit: only the first so many prompts.
        seeds: how many (0, 1, …), or which: a list, or "0-9,20".
        metrics: what scores the images.
        weights: of the metrics and of the rewards that methods climb: "tiny", "published" or a folder (None: tiny where all
            models are bundled ones).
        store: the folder of the run.
        budget: the most that one image of any method may cost.
        noise: "per_prompt", or "shared" by all prompts.
        batch: images that a method works on at once (None: the model card's).
        curves: score searches on their way as well, making images of those that show none; for `pick`.
        keep_noise: keep the noise of every image that is made, for `Run.noise`.
        low_memory: decode image by image, recompute what gradients need, and score when all images are made, one metric's
            network in memory at a time.
        settings: passed on to `load_model`, such as {"steps": 20, "device": "cuda"}.
        progress: show a bar.
        observe: called before the first batch and after every one with how far it is: done, total, failed, doing. Where it
            returns what is true, the run ends there; another call goes on from there.

    Returns:
        All that the store then holds; images that failed are warned of, and are in `Run.failures`.

    Raises:
        BadValue: before anything is computed, on names, numbers and files that do not do.
        NotSupported: where a model lacks what a method needs.
        CorruptWeights: on weights that are missing or damaged.
    """
    plan = planned(
        models,
        methods,
        prompts,
        limit,
        seeds=seeds,
        metrics=metrics,
        weights=weights,
        store=store,
        budget=budget,
        noise=noise,
        batch=batch,
        curves=curves,
        keep_noise=keep_noise,
        low_memory=low_memory,
        settings=settings,
    )
    return run_plan(plan, progress=progress, observe=observe, strict=True)


def planned(
    models: str | Model | Sequence[str | Model],
    methods: str | NoiseMethod | Sequence[str | NoiseMethod],
    prompts: str | Path | Sequence[str] | PromptSuite,
    limit: int | None,
    **others: Any,
) -> Plan:
    """The plan of a comparison, in the terms of `compare`."""
    return Plan(
        models=_listed(models),
        methods=list(dict.fromkeys(map(load_method, _listed(methods)))),
        prompts=load_prompts(prompts, limit),
        **others,
    )


def _listed(given: Any) -> list[Any]:
    """One or several as a list, each once; a text is one."""
    items = list(given) if isinstance(given, list | tuple) else [given]
    return [item for i, item in enumerate(items) if not any(item is other for other in items[:i])]


def run_plan(
    plan: Plan,
    *,
    store: str | Path | None = None,
    executor: str = "inprocess",
    shard: Shard | None = None,
    retry_failed: bool = False,
    strict: bool = False,
    progress: bool = True,
    observe: Observer | None = None,
) -> Run:
    """Do what the store lacks of a plan, or of one shard of it, and return everything that the store then holds.

    Args:
        plan: what to compare.
        store: a folder instead of the plan's.
        executor: "inprocess", "ray", or "ray:ADDRESS" of a cluster.
        shard: only this part of the plan.
        retry_failed: try again what went wrong in an earlier run.
        strict: refuse where a model lacks what a method needs; such pairs are left out with a warning otherwise.
        progress: show a bar.
        observe: as for `compare`.

    Returns:
        The run: the images, scores and traces of the store.

    Raises:
        BadValue: where the plan cannot be done, before anything is computed.
        NotSupported: on pairs that do not go together, where `strict`.
        KeyboardInterrupt: when the batch under way is finished, after a first Ctrl-C or SIGTERM.
    """
    if plan.search is not None:
        raise BadValue("the plan has a key 'search', which `run_search` and `noisekit run` understand")
    check_executor(executor)
    with Store.prepare(plan.folder(store), plan.noise) as opened:
        jobs = carry_out(
            plan,
            opened,
            executor=executor,
            shard=shard,
            retry_failed=retry_failed,
            strict=strict,
            progress=progress,
            observe=observe,
        )
        _measure_diversity(opened, jobs)
    return Run(opened)


def carry_out(
    plan: Plan,
    store: Store,
    *,
    executor: str = "inprocess",
    shard: Shard | None = None,
    retry_failed: bool = False,
    strict: bool = False,
    progress: bool = True,
    observe: Observer | None = None,
    cache: ModelCache | None = None,
) -> Resolved:
    """Do what an open store lacks of a plan. cache: models that are loaded already; the rest as for `run_plan`."""
    bar = progress and executor == "inprocess"
    jobs = resolve(plan, store.folder, strict=strict, progress=bar, cache=cache or ModelCache())
    for reason in dict.fromkeys(pair.reason for pair in jobs.incompatible):
        warnings.warn(f"left out: {reason}", stacklevel=3)
    describe(store, jobs.resources.evaluator)
    work = missing(jobs, store, shard, retry_failed)
    if plan.curves:
        _warn_of_unwatched(store, work.cells)
    _check_room(store, work)
    _write_settings(store, work.cells)
    units, resources = work.units(plan.batch), jobs.resources
    skipped, done = work.count("failed"), work.count("done") + work.count("failed")
    failures = []
    if plan.low_memory:  # all images first, none of them scored, and then metric by metric
        making = (unit for unit in units if isinstance(unit, Generation))
        failures += execute(
            making,
            replace(resources, metrics=()),
            store,
            executor=executor,
            attempts=work.contents.failures,
            done=done + work.count("unscored"),
            total=len(work),
            progress=progress,
            observe=observe,
        )
        resources.cache.clear()
        work = missing(jobs, store, shard, retry_failed)
        scorings = list(work.scorings())
        units, done, total = iter(scorings), 0, sum(map(len, scorings))
    else:
        total = len(work)
    failures += execute(
        units,
        resources,
        store,
        executor=executor,
        attempts=work.contents.failures,
        done=done,
        total=total,
        progress=progress,
        observe=observe,
    )
    if failures or skipped:
        warnings.warn(_advice(len(failures), skipped), stacklevel=3)
    return jobs


def _check_room(store: Store, work: Missing) -> None:
    """Raise `Unwritable` where images are to be made and the disk is all but full."""
    free = shutil.disk_usage(store.folder).free
    if free < ROOM and work.count("missing"):
        raise Unwritable(
            f"store {str(store.folder)!r} is on a disk with {free // 2**20} MiB left, which images would soon fill; free "
            f"{ROOM // 2**20} MiB or more, or use another folder"
        )


def _warn_of_unwatched(store: Store, cells: Sequence[Cells]) -> None:
    """Say of which searches there are no curves and will be none, since their images are there already."""
    jobs = {key: own.job for own in cells for key in own.done}
    anytime = {key for key, job in jobs.items() if job.method.horizon > 1 and job.method.anytime(1)}
    if not anytime:
        return
    first = {row["id"]: row["points"][0] for row in store.lines("traces") if row["id"] in anytime}
    blind = [key for key, point in first.items() if not any(name.startswith("metric_") for name in point)]
    if blind:
        methods = ", ".join(dict.fromkeys(str(jobs[key].arm) for key in blind))
        warnings.warn(
            f"{len(blind)} images were made without curves by {methods}, and stay so; for their curves use another store",
            stacklevel=4,
        )


def _write_settings(store: Store, cells: Iterable[Cells]) -> None:
    """What the identity of each setting is the hash of: when its first image is about to be made, or it is asked for again.

    The last line of a model, and that of a method on it, say which of several by the same name tables show; see `Run`.
    """
    lines = store.lines("settings")
    settings = {(row["model"], Arm.read(row)): row["setting"] for row in lines}
    models = {row["model"]: digest(row["fields"]["model"]) for row in lines}
    asked = {own.job.setting: own.job for own in cells if own.missing or own.job.model in models}
    news = {
        key: job
        for key, job in asked.items()
        if settings.get((job.model, job.arm)) != key or models[job.model] != digest(job.identity)
    }
    store.append(
        "settings", [{"setting": key, **job.columns, "fields": job.fields} for key, job in news.items()]
    )


def _measure_diversity(store: Store, jobs: Resolved) -> None:
    """Measure it over all images that there are by now; say so where the embedding cannot be had."""
    prompts = {prompt.id for suite in jobs.suites for prompt in suite}
    images = several(store, {job.setting for job in jobs.jobs}, prompts)
    if not images:
        return
    try:
        embedding = load_embedding(jobs.resources.weights, jobs.resources.device)
    except NoisekitError as reason:
        warnings.warn(f"diversity is not measured: {reason}", stacklevel=3)
        return
    DiversityMeter(store, embedding, jobs.resources.evaluator.batch).measure(images)


def _advice(failed: int, skipped: int) -> str:
    """What went wrong, and how to try it again."""
    said = [f"{failed} images failed" if failed else "", f"{skipped} had failed before" if skipped else ""]
    return (
        f"{' and '.join(filter(None, said))}; `noisekit status RUN` says why, --retry-failed tries them again"
    )
