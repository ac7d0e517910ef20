"""Scoring: stored images, each by each metric once."""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache

from noisekit.engine.units import Scoring
from noisekit.hashing import digest
from noisekit.metrics import Evaluator
from noisekit.prompts import Prompt
from noisekit.store.store import Row, Store


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


def prompt_of(row: Row) -> Prompt:
    """The prompt of a stored image, with the record that it came with."""
    return Prompt(row["prompt"], metadata=row["metadata"] or {})


def describe(store: Store, evaluator: Evaluator) -> None:
    """Write down what each metric is, where the store does not say yet."""
    described = {row["metric_id"] for row in store.lines("metrics")}
    facts = {digest(metric.identity): asdict(metric.info) for metric in evaluator.metrics.values()}
    store.append("metrics", [{"metric_id": key} | facts[key] for key in facts if key not in described])
