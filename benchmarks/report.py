"""How long the page of a run takes, and how large it gets: `python benchmarks/report.py --images 2000 --side 512`.

The run is made up: standard and four methods on pictures with some noise, which no format makes small, with scores by five
metrics and a ground truth. The time is that of `load_run` and `Run.report`, by the clock and of processors.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

import noisekit as nk
from noisekit.store.store import Store

#: Each method and what an image of it costs.
METHODS = {
    "standard": 1,
    "cosine(steps=2)": 12,
    "reno(steps=3, lr=5.0)": 13,
    "selection(candidates=4)": 16,
    "best_of(n=8)": 8,
}
METRICS = ("truth", "hps", "aesthetic", "image_reward", "clip_score", "pick_score")


def picture(rng: np.random.Generator, side: int) -> Tensor:
    """A smooth scene with noise over it, as models make them."""
    coarse = torch.tensor(rng.random((1, 3, 6, 6)), dtype=torch.float32)
    smooth = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic")[0]
    return (smooth + 0.04 * torch.tensor(rng.normal(size=(3, side, side)))).clamp(0, 1)


def write_run(images: int, side: int, folder: Path) -> None:
    """Fill a store with so many images of side x side pixels."""
    rng, rows, scores = np.random.default_rng(0), [], []
    with Store.prepare(folder, "per_prompt") as store:
        for number in range(images):
            prompt, place = divmod(number, len(METHODS))
            method, key = list(METHODS)[place], f"{number:024x}"
            row: dict[str, Any] = {
                "model": "made-up",
                "method": method,
                "prompt": f"picture {prompt}",
                "seed": 0,
            }
            row["image"] = store.save_image(key, picture(rng, side), row)
            row |= {"id": key, "setting": method, "model_id": "m", "prompt_id": str(prompt)}
            row |= {
                "kind": ("single", "pair")[prompt % 2],
                "calls": METHODS[method],
                "seconds": METHODS[method] / 10,
            }
            rows.append(row)
            for metric in METRICS:
                value = rng.random() < 0.4 + place / 10 if metric == "truth" else rng.normal(place / 10)
                score = {"id": key, "score_id": f"{key} {metric}", "metric": metric, "metric_id": metric}
                scores.append(score | {"values": {metric: float(value)}})
        about = {"version": "1", "weights": "made up", "family": "none", "low": 0.0, "high": 1.0, "tie": 0.0}
        about |= {"direction": "higher", "pairwise": False}
        facts = [{"name": name, "metric_id": name, "ground_truth": name == "truth"} for name in METRICS]
        store.append("metrics", [about | fact for fact in facts])
        store.append("rows", rows)
        store.append("scores", scores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=260)
    parser.add_argument("--side", type=int, default=64, help="pixels of an image's side")
    parser.add_argument(
        "--times", type=int, default=3, help="how often the page is made, of which the best counts"
    )
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        store = Path(folder) / "run"
        write_run(given.images, given.side, store)
        seconds, processors = [], []
        for _ in range(given.times):
            started = time.perf_counter(), time.process_time()
            page = nk.load_run(store).report()
            seconds.append(time.perf_counter() - started[0])
            processors.append(time.process_time() - started[1])
        spent = f"{min(seconds):.2f} s, {min(processors):.2f} s of processors"
        print(f"{given.images} images of {given.side} pixels: {spent}, {page.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
