"""A worker: it holds what the work needs (models, metrics, an open store) and does units of work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

from noisekit.engine.generation import Generated, generate, warm_up
from noisekit.engine.halving import Halving, Problem
from noisekit.engine.model_cache import ModelCache
from noisekit.engine.units import Generation, Scoring, Unit
from noisekit.hashing import digest
from noisekit.metrics import Evaluator
from noisekit.prompts import Prompt
from noisekit.store.store import Row, Store
from noisekit.types import Arm, Convention


@dataclass(frozen=True)
class Resources:
    """What a worker works with. Models and metrics are loaded when they are first wanted, and once in a process.

    device: where metrics run; models choose their own. progress: whether a method shows how its search goes on. curves:
    whether searches that show no images on their way have some made and scored. keep_noise: whether the noise of every image
    is stored. low_memory: whether metrics' networks are in memory one at a time.
    """

    store: Path
    convention: Convention
    metrics: tuple[str, ...]
    weights: str
    device: str = "cpu"
    progress: bool = False
    curves: bool = False
    keep_noise: bool = False
    low_memory: bool = False
    cache: ModelCache = field(default_factory=ModelCache, compare=False)

    @cached_property
    def evaluator(self) -> Evaluator:
        return Evaluator(self.metrics, self.weights, self.device, low_memory=self.low_memory)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel without what is loaded."""
        given = [getattr(self, own.name) for own in fields(self) if own.name != "cache"]
        return type(self), tuple(given)


class Scorer:
    """Scores stored images by the metrics of an evaluator."""

    def __init__(self, store: Store, evaluator: Evaluator) -> None:
        self.evaluator = evaluator
        self._image = lru_cache(evaluator.batch)(store.image)  # each metric reads the same images

    def scores(self, unit: Scoring) -> list[Row]:
        """One row of kind "scores" an image and metric of the unit."""
        images = [self._image(row["image"]) for row in unit.rows]
        scored: list[Row] = []
        for name in unit.metrics:
            metric = self.evaluator.metrics[name]
            prompts = [prompt_of(row) for row in unit.rows]
            values = self.evaluator.scores(images, prompts, [name])
            cut = metric.cut([prompt.text for prompt in prompts])
            about = {"metric": name, "metric_id": digest(metric.identity)}
            for i, row in enumerate(unit.rows):
                own = {column: column_values[i] for column, column_values in values.items()}
                ids = {"id": row["id"], "score_id": self.evaluator.score_id(row["id"], name, prompts[i])}
                unread = {"cut": cut[i]} if cut[i] else {}  # tokens of the prompt that the metric left out
                scored.append(ids | about | {"values": own} | unread)
        return scored


class Worker:
    """Does units: generates what they ask for, stores it, and scores it. It appends to files of its own."""

    def __init__(self, resources: Resources) -> None:
        self.resources = resources
        self.store = Store.prepare(resources.store, resources.convention)
        self.scorer = Scorer(self.store, resources.evaluator)
        self._halving = Halving()
        self._warm: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.store.__exit__(*exc)

    def do(self, unit: Unit) -> tuple[tuple[str, ...], tuple[Row, ...]]:
        """The ids of the finished images, and a row for each that failed; see `failed`.

        Raises `OSError` when the store cannot be written.
        """
        if isinstance(unit, Scoring):
            return self._scored(unit.rows, unit.metrics)
        finished: list[str] = []
        failures: list[Row] = []
        for part, outcome in self._halving(unit.job.setting, unit, self._generated):
            if isinstance(outcome, Problem):
                failures.append(failed(part, outcome))
                continue
            ids, unscored = self._scored(self._kept(outcome), self.resources.metrics)
            finished += ids
            failures += unscored
        return tuple(finished), tuple(failures)

    def _generated(self, unit: Generation) -> Generated:
        model = self.resources.cache.get(unit.job.source)
        if unit.job.setting not in self._warm:
            warm_up(unit.job, model, unit.prompts[0].text)
            self._warm.add(unit.job.setting)
        return generate(unit, model, self.resources.evaluator, self.resources.progress, self.resources.curves)

    def _kept(self, made: Generated) -> list[Row]:
        if self.resources.keep_noise:
            made.keep_noise(self.store)
        return made.keep(self.store)

    def _scored(self, rows: Iterable[Row], metrics: Iterable[str]) -> tuple[tuple[str, ...], tuple[Row, ...]]:
        """Score images by each metric in turn, as many at once as the evaluator takes and memory holds."""
        listed, size = list(rows), self.resources.evaluator.batch
        failures: list[Row] = []
        for start in range(0, len(listed), size):
            for metric in metrics:
                whole = Scoring(tuple(listed[start : start + size]), (metric,))
                for part, outcome in self._halving(metric, whole, self.scorer.scores):
                    if isinstance(outcome, Problem):
                        failures.append(unscored(part, outcome))
                    else:
                        self.store.append("scores", outcome)
        lacking = {row["id"] for row in failures}
        return tuple(row["id"] for row in listed if row["id"] not in lacking), tuple(failures)


def failed(unit: Generation, problem: Problem) -> Row:
    """The row of kind "failures" about the one image of a unit that could not be made."""
    (cell,) = unit.cells
    about = {**unit.job.columns, "suite": unit.suite, "prompt": cell.prompt.text, "seed": cell.seed}
    return _failure(cell.id, unit.job.setting, None, about, problem)


def unscored(unit: Scoring, problem: Problem) -> Row:
    """The row of kind "failures" about the one image of a unit that a metric could not score."""
    (row,), (metric,) = unit.rows, unit.metrics
    about = {"model": row["model"], **Arm.read(row).columns}
    about |= {name: row[name] for name in ("suite", "prompt", "seed")}
    return _failure(
        row["id"], row["setting"], metric, about, replace(problem, reason=f"{metric}: {problem.reason}")
    )


def _failure(key: str, setting: str, metric: str | None, about: Row, problem: Problem) -> Row:
    what = {"metric": metric, "reason": problem.reason, "where": problem.where}
    return {"id": key, "setting": setting, **about, **what}


def prompt_of(row: Row) -> Prompt:
    """The prompt of a stored image, with the record that it came with."""
    return Prompt(row["prompt"], metadata=row["metadata"] or {})


def describe(store: Store, evaluator: Evaluator) -> None:
    """Write down what each metric is, where the store does not say yet."""
    described = {row["metric_id"] for row in store.lines("metrics")}
    facts = {digest(metric.identity): asdict(metric.info) for metric in evaluator.metrics.values()}
    store.append("metrics", [{"metric_id": key} | facts[key] for key in facts if key not in described])
