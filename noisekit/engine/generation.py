"""Generate the images of one batch, and write down each with its noise and its trace."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from noisekit.engine.checkpoints import CheckpointRecorder
from noisekit.engine.units import Cell, Generation, Job
from noisekit.evaluation.noise_statistics import NoiseStatistics, noise_statistics
from noisekit.hashing import digest
from noisekit.methods.round_trip import cosine_similarity
from noisekit.metrics import Evaluator
from noisekit.models import Model
from noisekit.store.store import Row, Store
from noisekit.types import COUNTED, Budget, NoiseResult


@dataclass(frozen=True)
class Generated:
    """What a method made of a unit, not yet in any store."""

    unit: Generation
    result: NoiseResult
    statistics: NoiseStatistics
    recorder: CheckpointRecorder

    def keep(self, store: Store) -> list[Row]:
        """Write images, traces, noises and rows, in this order: an image that has a row has all the others."""
        cells, result = self.unit.cells, self.result
        identity = digest(self.unit.job.identity)
        rows = [self._row(store, identity, i, cell) for i, cell in enumerate(cells)]
        traces: list[Row] = [{"id": cell.id, "points": []} for cell in cells]
        for point in result.trace.rows():
            sample, step = int(point["sample"]), int(point["step"])
            own = {name: value for name, value in point.items() if name != "sample"}
            traces[sample]["points"].append(own | self.recorder.figures(step, sample))
        store.append("traces", [trace for trace in traces if trace["points"]])
        store.append("noises", [self._noise(i, cell) for i, cell in enumerate(cells)])
        store.append("rows", rows)
        return rows

    def keep_noise(self, store: Store) -> None:
        """Write the noises themselves. They go before the rows, for the same reason."""
        result = self.result
        for i, cell in enumerate(self.unit.cells):
            injected = None if result.injected is None else result.injected[i]
            store.save_noise(cell.id, result.noise[i], injected)

    def _row(self, store: Store, model_id: str, i: int, cell: Cell) -> Row:
        job, result, noises = self.unit.job, self.result, self.statistics
        about = {**job.columns, "prompt": cell.prompt.text, "seed": cell.seed}
        how = {"identity": job.identity, "budget": asdict(job.budget), "noise": job.convention}
        image = store.save_image(cell.id, result.images[i], about | how | {"generation": cell.id})
        return {
            "id": cell.id,
            "setting": job.setting,
            "model_id": model_id,
            **about,
            "prompt_id": cell.prompt.id,
            "suite": self.unit.suite,
            "kind": cell.prompt.kind,
            "unseen": cell.prompt.unseen,
            "categories": cell.prompt.categories,
            "metadata": cell.prompt.metadata,
            "image": image,
            "objective": job.method.objective,
            "optimised": sorted(job.method.optimised),
            "score": None if result.score is None else result.score[i].item(),
            "calls": result.cost.calls,
            **{f"calls_{network}": getattr(result.cost, network) for network in COUNTED},
            "flops": result.cost.flops,
            "equivalents": result.cost.equivalents,
            "seconds": result.cost.seconds,
            "peak_memory": result.cost.peak_memory,
            "preparation": job.method.preparation,
            "batch": len(result.seeds),
            "stopped": result.stopped,
            "noise_norm": noises.norm[i].item(),
            "noise_cosine": cosine_similarity(result.noise[i : i + 1], result.initial[i : i + 1]).item(),
            "noise_distance": noises.distance[i].item(),
            "noise_kurtosis": noises.kurtosis[i].item(),
        }

    def _noise(self, i: int, cell: Cell) -> Row:
        """The figures of one noise that are lists, to six digits; frames count as channels."""
        lists = ("found", "initial", "cross", "similarity")
        short = {
            name: [float(f"{x:.6g}") for x in getattr(self.statistics, name)[i].tolist()] for name in lists
        }
        return {"id": cell.id, "shape": list(self.result.noise.flatten(1, -3).shape[1:]), **short}


def generate(unit: Generation, model: Model, evaluator: Evaluator, progress: bool, curves: bool) -> Generated:
    """Run the method on a unit; prompts are encoded before the clock starts. `BadValue` where an image is not finite."""
    texts, job = [prompt.text for prompt in unit.prompts], unit.job
    recorder = CheckpointRecorder(evaluator, job.method, model, [cell.prompt for cell in unit.cells], curves)
    model.encode(texts)
    result = job.method(
        model,
        texts,
        seeds=unit.seeds,
        budget=job.budget,
        convention=job.convention,
        progress=progress,
        observe=recorder,
    )
    result.check_images()
    return Generated(unit, result, noise_statistics(result.noise, result.initial), recorder)


def warm_up(job: Job, model: Model, prompt: str) -> None:
    """One candidate and one image that nobody times: what only the first call costs is no method's fault."""
    model.encode([prompt])
    job.method(model, [prompt], budget=Budget(candidates=1), convention=job.convention)
