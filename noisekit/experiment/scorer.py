"""Scoring: stored images, each by each metric once; and the images that a search shows on its way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from torch import Tensor

from noisekit.evaluation import Evaluator
from noisekit.experiment.identity import digest, score_id
from noisekit.experiment.store import Row, Store
from noisekit.types import Candidate


class Scorer:
    """Scores stored images by the metrics of an evaluator, each once, and records what those metrics are."""

    def __init__(self, store: Store, evaluator: Evaluator) -> None:
        self.store, self.evaluator = store, evaluator
        self.done = {row["score_id"] for row in store.lines("scores")}
        described = {row["metric_id"] for row in store.lines("metrics")}
        facts = {digest(metric.identity): asdict(metric.info) for metric in evaluator.metrics.values()}
        store.append("metrics", [{"metric_id": key} | facts[key] for key in facts if key not in described])

    def score(self, rows: Sequence[Row]) -> None:
        """Score the images of generation rows by the metrics that they lack."""
        for start in range(0, len(rows), self.evaluator.batch):
            part = rows[start : start + self.evaluator.batch]
            for name, metric in self.evaluator.metrics.items():
                lacking = [row for row in part if score_id(row["id"], metric.identity) not in self.done]
                if not lacking:
                    continue
                images = [self.store.image(row["image"]) for row in lacking]
                values = self.evaluator.scores(images, [row["prompt"] for row in lacking], [name])
                scored = {"metric": name, "metric_id": digest(metric.identity)}
                new: list[Row] = []
                for i, row in enumerate(lacking):
                    own = {column: column_values[i] for column, column_values in values.items()}
                    ids = {"id": row["id"], "score_id": score_id(row["id"], metric.identity)}
                    new.append(ids | scored | {"values": own})
                self.store.append("scores", new)
                self.done |= {row["score_id"] for row in new}


class Watch:
    """Scores the best images so far of a search that decodes them, at candidates 1, 2, 5, 10, 20, 50, …"""

    def __init__(self, evaluator: Evaluator, prompts: Sequence[str]) -> None:
        self.evaluator, self.prompts = evaluator, prompts
        self.scores: dict[int, dict[str, list[float]]] = {}

    def __call__(self, index: int, best: Candidate) -> None:
        if best.images is not None and is_checkpoint(index + 1):
            self.scores[index] = self._of(best.images)

    def _of(self, images: Tensor) -> dict[str, list[float]]:
        scores = self.evaluator.scores(images, self.prompts)
        return {
            f"metric_{metric.info.raw}": scores[metric.info.raw] for metric in self.evaluator.metrics.values()
        }

    def scores_of(self, step: int, sample: int) -> dict[str, float]:
        return {name: values[sample] for name, values in self.scores.get(step, {}).items()}


def is_checkpoint(count: int) -> bool:
    """Whether a number is 1, 2 or 5 times a power of ten."""
    return str(count).rstrip("0") in ("1", "2", "5")
