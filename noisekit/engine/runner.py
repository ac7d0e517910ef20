"""Run a plan: every method on every model, prompt and seed, paired with standard sampling, into a store never redone.

    cells   = models × methods × budgets × prompts × seeds         standard is always one of the methods
    missing = cells − store                              generated in batches, stored after each
    scores  = cells × metrics − store                    of the stored 8-bit images
    spread  = between the images of a prompt             wherever it has several seeds

Everything that can be refused is refused before the first image; whatever stops a run later, finished images stay. One
image that fails is written down with the reason, and the others go on.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from noisekit.engine.diversity import DiversityMeter, several
from noisekit.engine.executors import check_executor, load_executor
from noisekit.engine.scorer import describe
from noisekit.engine.shelf import Shelf
from noisekit.engine.states import Cells, Contents
from noisekit.engine.stopping import Stop
from noisekit.engine.survey import Survey, survey
from noisekit.engine.units import Generation, Scoring, Unit
from noisekit.engine.watch import warn_of_unwatched
from noisekit.engine.worker import Tools
from noisekit.errors import BadValue, NoisekitError, Unwritable
from noisekit.evaluation.embedding import load_embedding
from noisekit.hashing import digest
from noisekit.methods import NoiseMethod, load_method
from noisekit.models import Model
from noisekit.plan.plan import Plan, load_plan
from noisekit.plan.shard import Shard
from noisekit.prompts import PromptSuite, load_prompts
from noisekit.registry import DEFAULT_METRICS
from noisekit.runs import Run
from noisekit.store.store import Row, Store
from noisekit.types import Arm, Budget, Convention

#: Bytes that have to be free before images are made.
ROOM = 32 * 2**20
#: Stored images that are read and scored at once.
EVALUATED = 64


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
) -> Run:
    """Generate and score what the store lacks, and return everything that it then holds.

    prompts, limit: as for `load_prompts`. seeds: how many (0, 1, …), or which (a list, or "0-9,20"). weights: of the
    metrics and of the rewards that methods climb, "tiny", "published" or a folder (None: tiny where all models are bundled
    ones). budget: the most that one image of any method may cost.
    noise: "per_prompt", or "shared" by all prompts. batch: images that a method works on at once (None: the model card's).
    curves: score searches on their way as well, making images of those that show none (see `Watch`); for `pick`.
    keep_noise: keep the noise of every image that is made, for `Run.noise`.
    low_memory: decode image by image, recompute what gradients need, and score when all images are made, one metric's
    network in memory at a time.
    settings: passed on to `load_model`, such as {"steps": 20, "device": "cuda"}. Raises `BadValue`, `NotSupported` and
    `CorruptWeights` before anything is computed; images that fail later are warned of, and are in `Run.failures`.
    """
    plan = load_plan(
        {
            "models": _listed(models),
            "methods": list(dict.fromkeys(map(load_method, _listed(methods)))),
            "prompts": load_prompts(prompts, limit),
            "seeds": seeds,
            "metrics": metrics,
            "weights": weights,
            "store": store,
            "budget": budget,
            "noise": noise,
            "batch": batch,
            "curves": curves,
            "keep_noise": keep_noise,
            "low_memory": low_memory,
            "settings": settings,
        }
    )
    return run_plan(plan, progress=progress, strict=True)


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
) -> Run:
    """Do what the store lacks of a plan, or of one shard of it, and return everything that the store then holds.

    store: instead of the plan's. executor: "inprocess", "ray", or "ray:ADDRESS" of a cluster. retry_failed: try again what
    went wrong in an earlier run. strict: raise `NotSupported` where a model lacks what a method needs; such pairs are left
    out with a warning otherwise. The first Ctrl-C or SIGTERM finishes the batch under way and then raises
    `KeyboardInterrupt`.
    """
    if plan.search is not None:
        raise BadValue("the plan has a key 'search', which `run_search` and `noisekit run` understand")
    check_executor(executor)
    with Store.prepare(plan.folder(store), plan.noise) as opened:
        found = carry_out(
            plan,
            opened,
            executor=executor,
            shard=shard,
            retry_failed=retry_failed,
            strict=strict,
            progress=progress,
        )
        _measure_diversity(opened, found)
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
    shelf: Shelf | None = None,
) -> Survey:
    """Do what an open store lacks of a plan. shelf: models that are loaded already; the rest as for `run_plan`."""
    found = survey(
        plan,
        store.folder,
        strict=strict,
        progress=progress and executor == "inprocess",
        shelf=shelf or Shelf(),
    )
    _warn_of_incompatible(found)
    describe(store, found.tools.evaluator)
    contents = Contents(store)
    cells = found.cells(contents, shard or Shard(), retry_failed)
    if plan.curves:
        warn_of_unwatched(store, cells)
    _check_room(store, cells)
    _write_settings(store, cells)
    skipped = sum(len(own.failed) for own in cells)
    total, ready = sum(map(len, cells)), skipped + sum(len(own.done) for own in cells)
    if plan.low_memory:
        making = replace(found.tools, metrics=())
        ready += sum(len(own.unscored) for own in cells)
        failed = _work(
            store, making, _making(cells, plan.batch), (ready, total), contents, executor, progress
        )
        found.tools.shelf.clear()
        contents = Contents(store)
        scoring = list(_scoring(found.cells(contents, shard or Shard(), retry_failed), EVALUATED))
        span = (0, sum(map(len, scoring)))
        failed += _work(store, found.tools, scoring, span, contents, executor, progress)
    else:
        units = _units(cells, plan.batch)
        failed = _work(store, found.tools, units, (ready, total), contents, executor, progress)
    if failed or skipped:
        warnings.warn(_advice(failed, skipped), stacklevel=3)
    return found


def _work(
    store: Store,
    tools: Tools,
    units: Iterable[Unit],
    span: tuple[int, int],
    contents: Contents,
    executor: str,
    progress: bool,
) -> int:
    """Have an executor do the units, write down what fails, and raise `KeyboardInterrupt` when asked to stop.

    span: how many images are done already, and how many there are.
    """
    failures = 0
    ready, total = span
    with Stop() as stop, tqdm(total=total, initial=ready, unit="image", disable=not progress) as bar:
        for outcome in load_executor(executor, tools).run(stop.until(units)):
            failures += len(outcome.failures)
            store.append("failures", [_counted(row, contents) for row in outcome.failures])
            bar.set_description_str(_name(outcome.unit), refresh=False)
            if failures:
                bar.set_postfix(failed=failures, refresh=False)
            bar.update(len(outcome.unit))
    if stop.asked:
        raise KeyboardInterrupt
    return failures


def _units(cells: Sequence[Cells], batch: int | None) -> Iterator[Unit]:
    for own in cells:
        yield from own.units(batch or own.job.batch)


def _making(cells: Sequence[Cells], batch: int | None) -> Iterator[Unit]:
    """The images to make, none of them to score."""
    return (unit for unit in _units(cells, batch) if isinstance(unit, Generation))


def _scoring(cells: Sequence[Cells], batch: int) -> Iterator[Unit]:
    """The scores that stored images lack, metric by metric."""
    lacking: dict[str, list[Row]] = {}
    for own in cells:
        for row, metrics in own.unscored:
            for metric in metrics:
                lacking.setdefault(metric, []).append(row)
    for metric, rows in lacking.items():
        for start in range(0, len(rows), batch):
            yield Scoring(tuple(rows[start : start + batch]), (metric,))


def _check_room(store: Store, cells: Sequence[Cells]) -> None:
    """Raise `Unwritable` where images are to be made and the disk is all but full."""
    free = shutil.disk_usage(store.folder).free
    if free < ROOM and any(own.missing for own in cells):
        raise Unwritable(
            f"store {str(store.folder)!r} is on a disk with {free // 2**20} MiB left, which images would soon fill; free "
            f"{ROOM // 2**20} MiB or more, or use another folder"
        )


def _name(unit: Unit) -> str:
    return " · ".join(unit.job.labels.values()) if isinstance(unit, Generation) else "scoring"


def _counted(failure: Row, contents: Contents) -> Row:
    return failure | {"attempt": contents.failures[failure["id"], failure["metric"]] + 1}


def _write_settings(store: Store, cells: Sequence[Cells]) -> None:
    """What the identity of each setting is the hash of: when its first image is about to be made, or it is asked for again.

    The last line of a model, and that of a method on it, say which of several by the same name tables show; see `Run`.
    """
    lines = store.lines("settings")
    settings = {(row["model"], Arm.read(row)): row["setting"] for row in lines}
    models = {row["model"]: digest(row["fields"]["model"]) for row in lines}
    asked = {own.job.setting: own.job for own in cells if own.missing or own.job.labels["model"] in models}
    news = {
        key: job
        for key, job in asked.items()
        if settings.get((job.labels["model"], job.arm)) != key
        or models[job.labels["model"]] != digest(job.identity)
    }
    store.append(
        "settings", [{"setting": key, **job.columns, "fields": job.fields} for key, job in news.items()]
    )


def _measure_diversity(store: Store, found: Survey) -> None:
    """Measure it over all images that there are by now; say so where the embedding cannot be had."""
    prompts = {prompt.id for suite in found.suites for prompt in suite}
    images = several(store, {job.setting for job in found.jobs}, prompts)
    if not images:
        return
    try:
        embedding = load_embedding(found.tools.weights, found.tools.device)
    except NoisekitError as reason:
        warnings.warn(f"diversity is not measured: {reason}", stacklevel=3)
        return
    DiversityMeter(store, embedding, found.tools.evaluator.batch).measure(images)


def _warn_of_incompatible(found: Survey) -> None:
    for reason in dict.fromkeys(pair.reason for pair in found.incompatible):
        warnings.warn(f"left out: {reason}", stacklevel=3)


def _advice(failed: int, skipped: int) -> str:
    """What went wrong, and how to try it again."""
    said = [f"{failed} images failed" if failed else "", f"{skipped} had failed before" if skipped else ""]
    return (
        f"{' and '.join(filter(None, said))}; `noisekit status RUN` says why, --retry-failed tries them again"
    )
