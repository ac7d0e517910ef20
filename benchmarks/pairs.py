"""How much memory it takes to train on many pairs: made-up ones are written, an epoch is trained, and the peak is printed.

    python benchmarks/pairs.py [--pairs 1000000] [--size tiny] [--half] [--out build/pairs-memory]

The noises are random and every prompt is another, so nothing can be learnt and nothing is kept: it is the size that counts.
The network is that of the text branch alone, the fastest. With --size sdxl noises are 4 × 128 × 128. Memory is what this
process and those that it starts hold together, pages that they share counted once, ten times a second.
"""

from __future__ import annotations

import argparse
import shutil
import time
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Self

import psutil
import torch

import noisekit as nk
from noisekit.npnet.collect import SHARD, Recipe, _about
from noisekit.npnet.pairs import TENSORS, Collection
from noisekit.npnet.train import Training, train

#: Side of the noises.
SIDES = {"tiny": 8, "sdxl": 128}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--size", choices=list(SIDES), default="tiny")
    parser.add_argument("--half", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("build/pairs-memory"))
    options = parser.parse_args()
    side = SIDES[options.size]
    model = nk.load_model("tiny", device="cpu", size=4 * side)
    started = time.monotonic()
    pairs = written(model, options.out / "pairs", options.pairs, options.half)
    disk = sum(file.stat().st_size for file in pairs.folder.iterdir())
    print(f"{options.pairs:,} pairs of 4 × {side} × {side}: {disk / 2**30:.2f} GiB on disk, "
          f"{time.monotonic() - started:.0f} s", flush=True)  # fmt: skip
    before, started = held(), time.monotonic()
    training = Training(epochs=1, metric=None, svd=False, residual=False)
    with Watched() as watched:
        train(pairs, model, options.out / "network", training=training, progress=True)
    took = time.monotonic() - started
    print(f"held before {before:.2f} GiB, at most {watched.peak:.2f} GiB in an epoch of {took:.0f} s")
    shutil.rmtree(options.out)


def written(model: nk.Model, folder: Path, number: int, half: bool) -> Collection:
    """A collection of random pairs in the usual shards."""
    collection = Collection.prepare(folder, _about(model, Recipe()))
    generator = torch.Generator().manual_seed(0)
    for first in range(0, number, SHARD):
        size = min(SHARD, number - first)
        noise = torch.randn(size, *model.noise_shape, generator=generator)
        noise = noise.half() if half else noise
        scores = {"hps": {"weights": "", "source": 0.0, "target": 1.0}}
        texts = [f"a red circle and {first + i} more" for i in range(size)]
        lines = [{"prompt": text, "seed": 0, "scores": scores} for text in texts]
        collection.add(lines, {name: noise.clone() for name in TENSORS})
    return collection


def held() -> float:
    """GiB that this process and its children hold."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    total = 0
    for process in processes:
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
            total += process.memory_full_info().pss
    return total / 2**30


class Watched(Thread):
    """The most that is held while it is entered."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak, self.done = 0.0, Event()

    def run(self) -> None:
        while not self.done.wait(0.1):
            self.peak = max(self.peak, held())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.join()


if __name__ == "__main__":
    main()
