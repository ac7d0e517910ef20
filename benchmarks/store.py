"""How long a large store takes to load, and how much memory.

    python benchmarks/store.py [--images 1000000] [--folder build/store]

writes a store of so many images with six metrics each, in the format of noisekit, and loads it in a fresh process: first the
rows alone, of which there are so many, then the whole, which has seven lines an image. Prints seconds and the peak of memory
as Markdown. The folder is kept when it is given, so that it need not be written again.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

METRICS = ("clip_score", "pick_score", "hps", "image_reward", "aesthetic", "mps")
METHODS, SEEDS, WRITERS = 40, 10, 4


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--load", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.load:
        load(given.folder)
        return
    print("| store | lines | size | `load_run` | `Run.frame` | both, of the processor | peak memory |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        for name, metrics in (("images alone", ()), ("images and six scores each", METRICS)):
            store = folder / ("scored" if metrics else "bare")
            if not store.exists():
                write(store, given.images, metrics)
            command = [sys.executable, __file__, "--load", "--folder", str(store)]
            said = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            lines = given.images * (1 + len(metrics))
            size = sum(file.stat().st_size for file in store.rglob("*.jsonl")) / 1e9
            print(f"| {given.images:,} {name} | {lines:,} | {size:.2f} GB | {' | '.join(said)} |", flush=True)


def load(store: Path) -> None:
    """Load a store, and print seconds and memory as JSON."""
    from noisekit.results import load_run

    before = memory()
    start, processor = time.perf_counter(), time.process_time()
    run = load_run(store)
    loaded = time.perf_counter()
    frame = run.frame()
    done, processor = time.perf_counter(), time.process_time() - processor
    assert len(frame) == len(run)
    seconds = [f"{value:.1f} s" for value in (loaded - start, done - loaded, processor)]
    print(json.dumps([*seconds, f"{memory():.2f} GB (libraries alone: {before:.2f})"]))


def memory() -> float:
    """The most that this process ever had, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def write(store: Path, images: int, metrics: tuple[str, ...]) -> None:
    """As several writers would have left it, a batch of 64 images at a time."""
    from noisekit.store.store import Store, plain

    Store.prepare(store, "per_prompt")
    draw, numbers = random.Random(0), range(images)
    files = {
        kind: [(store / kind / f"writer-{i}.jsonl").open("w") for i in range(WRITERS)]
        for kind in ("rows", "scores")
    }
    for i in numbers:
        writer, created = i // 64 % WRITERS, 1.7e9 + (i // 64) / 100
        row = image(i, draw)
        print(json.dumps(row | {"created": created}), file=files["rows"][writer])
        for metric in metrics:
            scored = {"id": row["id"], "score_id": f"{draw.getrandbits(128):032x}", "metric": metric}
            scored |= {"metric_id": f"{METRICS.index(metric):032x}", "values": {metric: draw.gauss(0, 1)}}
            print(json.dumps(plain(scored) | {"created": created + 0.001}), file=files["scores"][writer])
    for file in (*files["rows"], *files["scores"]):
        file.close()


def image(i: int, draw: random.Random) -> dict[str, Any]:
    """A row as a run writes it."""
    cell, seed = divmod(i, SEEDS)
    prompt, method = divmod(cell, METHODS)
    key = f"{draw.getrandbits(128):032x}"
    calls = {
        f"calls_{name}": 0.0
        for name in ("denoiser_backward", "decoder_backward", "reward", "reward_backward")
    }
    noise = {f"noise_{name}": draw.gauss(0, 1) for name in ("norm", "cosine", "distance", "kurtosis")}
    return {
        "id": key,
        "setting": f"{method:032x}",
        "model_id": f"{0:032x}",
        "model": "tiny",
        "method": f"reno(steps={method}, rewards='hps:5 + aesthetic:1')" if method else "standard",
        "prompt": f"prompt number {prompt}: a red circle to the left of a blue square on a white background",
        "seed": seed,
        "prompt_id": f"{prompt:012x}",
        "suite": "tiny",
        "kind": "relation",
        "unseen": prompt % 2 == 0,
        "categories": {"kind": "relation"},
        "metadata": {},
        "image": f"images/{key}.png",
        "objective": "reward",
        "optimised": ["aesthetic", "hps"],
        "score": draw.random(),
        "calls": 16.0,
        "calls_denoiser": 16.0,
        "calls_decoder": 1.0,
        "calls_predictor": 0.0,
        **calls,
        "seconds": draw.random(),
        "peak_memory": None,
        "preparation": 0.0,
        "batch": 64,
        "stopped": "done",
        **noise,
    }


if __name__ == "__main__":
    main()
