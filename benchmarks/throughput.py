"""What the engine costs beside a bare loop over the same batches, side by side in one process.

    python benchmarks/throughput.py [--images 512] [--batch 32]

The bare loop calls the method on each batch and scores the images, and keeps nothing. The engine does the same by way of a
plan, and stores images, rows, noises, traces and scores. Loading and warming up are out of both, as they are once a process.
Prints images per second of each, alternating, and the ratio of the medians.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from noisekit.engine.model_cache import ModelCache
from noisekit.engine.units import Generation, Job
from noisekit.engine.worker import Resources, Worker
from noisekit.methods import load_method
from noisekit.metrics import Evaluator
from noisekit.plan.sources import ModelSource
from noisekit.prompts import load_prompts
from noisekit.store.store import Store
from noisekit.types import Budget

METRICS = ("clip_score", "truth")
REPEATS = 5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--method", default="standard")
    given = parser.parse_args()
    torch.set_num_threads(1)
    suite = load_prompts("tiny", min(given.images // 4, 128))
    source, cache = ModelSource("tiny"), ModelCache()
    model = cache.get(source)
    evaluator = Evaluator(METRICS, "tiny")
    job = Job.of(source, model, load_method(given.method), Budget(), "per_prompt")
    each = given.batch // 4
    units = [
        Generation(job, suite.name, tuple(suite.prompts[start : start + each]), tuple(range(seed, seed + 4)))
        for seed in range(0, given.images // len(suite), 4)
        for start in range(0, len(suite), each)
    ]
    images = sum(map(len, units))

    def bare() -> None:
        for unit in units:
            texts = [prompt.text for prompt in unit.prompts]
            result = job.method(model, texts, seeds=unit.seeds)
            evaluator(result.images, list(result.prompts))

    def engine() -> float:
        with tempfile.TemporaryDirectory() as folder:
            Store.prepare(folder, "per_prompt")
            with Worker(Resources(Path(folder), "per_prompt", METRICS, "tiny", cache=cache)) as worker:
                worker.do(units[0])  # it warms up
                start = time.perf_counter()
                for unit in units:
                    finished, failures = worker.do(unit)
                    assert len(finished) == len(unit) and not failures
                return time.perf_counter() - start

    def rates() -> Iterator[tuple[float, float]]:
        bare()
        for _ in range(REPEATS):
            start = time.perf_counter()
            bare()
            loop = time.perf_counter() - start
            yield images / loop, images / engine()

    loop, ours = map(statistics.median, zip(*rates(), strict=True))
    print(f"| {images} images of {given.method}, batches of {given.batch} | images/s |\n| --- | --- |")
    print(f"| bare loop | {loop:.1f} |\n| engine | {ours:.1f} |\n| ratio | {ours / loop:.3f} |")


if __name__ == "__main__":
    main()
