"""One method on one model over all prompts and seeds: generate what is missing, batch by batch, and score it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from torch import Tensor
from tqdm.auto import tqdm

from noisekit import registry
from noisekit.evaluation import Evaluator
from noisekit.experiment.cells import Batch, batches
from noisekit.experiment.identity import digest, generation_id, score_id, setting_id
from noisekit.experiment.store import Row, Store
from noisekit.methods import NoiseMethod
from noisekit.methods.round_trip import cosine
from noisekit.models import Model
from noisekit.models.cards import Card, cards
from noisekit.noise import Convention
from noisekit.prompts import Prompt, PromptSuite
from noisekit.types import COUNTED, Budget, Candidate, NoiseResult


class Scorer:
    """Scores stored images by the metrics of an evaluator, each once."""

    def __init__(self, store: Store, evaluator: Evaluator) -> None:
        self.store, self.evaluator = store, evaluator
        self.done = {row["score_id"] for row in store.lines("scores")}

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
                scored = {"metric": name, "metric_id": digest(metric.identity), "tie": metric.tie}
                new: list[Row] = []
                for i, row in enumerate(lacking):
                    own = {column: column_values[i] for column, column_values in values.items()}
                    ids = {"id": row["id"], "score_id": score_id(row["id"], metric.identity)}
                    new.append(ids | scored | {"values": own})
                self.store.append("scores", new)
                self.done |= {row["score_id"] for row in new}


class Job:
    """A (model, method) pair under a budget. Making one checks that the pair goes together, weights included."""

    def __init__(self, model: Model, method: NoiseMethod, budget: Budget, convention: Convention) -> None:
        self.model, self.method, self.convention = model, method.resolved(model), convention
        model.require(method.name, self.method.needs)
        # Standard sampling spends the least that an image can cost: no budget changes it.
        self.budget = budget if self.method.horizon else Budget()
        self.setting = setting_id(model, self.method, self.budget, convention)
        self.labels = {"model": model_label(model), "method": f"{self.method}{_suffix(self.budget)}"}

    def run(
        self,
        store: Store,
        scorer: Scorer,
        suite: PromptSuite,
        seeds: Sequence[int],
        size: int | None,
        progress: bool,
    ) -> None:
        """Generate the cells that the store lacks, storing each batch as it is done, then score all cells."""
        wanted = {generation_id(self.setting, p.text, seed): (p.id, seed) for p in suite for seed in seeds}
        rows = [
            row
            for row in store.lines("rows")
            if row["id"] in wanted and (store.folder / row["image"]).is_file()
        ]
        scorer.score(rows)
        done = {wanted[row["id"]] for row in rows}
        missing = list(batches(suite.prompts, seeds, done, size or self.model.card.batch))
        if not missing:
            return
        self._warm_up(suite)
        name = " · ".join(self.labels.values())
        with tqdm(total=len(wanted), initial=len(done), desc=name, unit="image", disable=not progress) as bar:
            for batch in missing:
                new = self._generate(store, scorer.evaluator, batch, progress)
                scorer.score(new)
                bar.update(len(new))

    def _warm_up(self, suite: PromptSuite) -> None:
        """One candidate and one image that nobody times: what only the first call costs is no method's fault."""
        self.model.encode(suite.texts)
        self.method(self.model, suite.texts[:1], budget=Budget(steps=1), convention=self.convention)

    def _generate(self, store: Store, evaluator: Evaluator, batch: Batch, progress: bool) -> list[Row]:
        prompts, seeds = batch
        samples = [(prompt, seed) for prompt in prompts for seed in seeds]
        watch = Watch(evaluator, [prompt.text for prompt, _ in samples])
        result = self.method(
            self.model,
            [prompt.text for prompt in prompts],
            seeds=seeds,
            budget=self.budget,
            convention=self.convention,
            progress=progress,
            observe=watch,
        )
        rows = [self._row(store, result, i, prompt, seed) for i, (prompt, seed) in enumerate(samples)]
        traces: list[Row] = [{"id": row["id"], "points": []} for row in rows]
        for point in result.trace.rows():
            sample, step = int(point["sample"]), int(point["step"])
            own = {name: value for name, value in point.items() if name != "sample"}
            traces[sample]["points"].append(own | watch.scores_of(step, sample))
        store.append("traces", [trace for trace in traces if trace["points"]])
        store.append("rows", rows)
        return rows

    def _row(self, store: Store, result: NoiseResult, i: int, prompt: Prompt, seed: int) -> Row:
        about = {**self.labels, "prompt": prompt.text, "seed": seed}
        key = generation_id(self.setting, prompt.text, seed)
        how = {"identity": self.model.identity, "budget": asdict(self.budget), "noise": self.convention}
        image = store.save_image(key, result.images[i], about | how | {"generation": key})
        return {
            "id": key,
            "setting": self.setting,
            "model_id": digest(self.model.identity),
            **about,
            "prompt_id": prompt.id,
            "kind": prompt.kind,
            "unseen": prompt.unseen,
            "image": image,
            "objective": self.method.objective,
            "optimised": sorted(self.method.optimised),
            "score": None if result.score is None else result.score[i].item(),
            "calls": result.cost.calls,
            **{f"calls_{network}": getattr(result.cost, network) for network in COUNTED},
            "seconds": result.cost.seconds,
            "batch": len(result.seeds),
            "stopped": result.stopped,
            "noise_norm": result.noise[i].norm().item(),
            "noise_cosine": cosine(result.noise[i : i + 1], result.initial[i : i + 1]).item(),
        }


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
        return {f"metric_{name}": scores[name] for name in self.evaluator.metrics}

    def scores_of(self, step: int, sample: int) -> dict[str, Any]:
        return {name: values[sample] for name, values in self.scores.get(step, {}).items()}


def is_checkpoint(count: int) -> bool:
    """Whether a number is 1, 2 or 5 times a power of ten."""
    return str(count).rstrip("0") in ("1", "2", "5")


def model_label(model: Model) -> str:
    """The model's name with the settings that differ from its card: "tiny(steps=20)"."""
    usual = cards().get(model.card.name, Card(model.card.name))
    names = ("steps", "guidance", "scheduler")
    changed = {
        name: getattr(model.card, name) for name in names if getattr(model.card, name) != getattr(usual, name)
    }
    return registry.render(model.name, changed)


def _suffix(budget: Budget) -> str:
    limits = {"s": budget.seconds, " calls": budget.calls, " candidates": budget.steps}
    given = [f"{limit:g}{unit}" for unit, limit in limits.items() if limit is not None]
    return f" @ {', '.join(given)}" if given else ""
