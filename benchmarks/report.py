"""How long the page of a run takes, and how large it gets: `python benchmarks/report.py --images 2000 --side 512`.

The run is made up: standard and four methods on pictures with some noise, which no format makes small, with scores by five
metrics and a ground truth. The time is that of `Run.report` on a run that was just opened, the best of three.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

import noisekit as nk
from noisekit.store.store import Store

METHODS = {
    "standard": 1,
    "cosine(steps=2)": 12,
    "reno(steps=3, lr=5.0)": 13,
    "selection(candidates=4)": 16,
    "best_of(n=8)": 8,
}
METRICS = ("truth", "hps", "aesthetic", "image_reward", "clip_score", "pick_score")


def pictures(images: int, side: int, folder: Path) -> None:
    """Fill a store with so many images of side x side pixels: smooth scenes with noise over them, as a model's are."""
    rng = np.random.default_rng(0)
    about: dict[str, Any] = {"version": "1", "weights": "made up", "family": "none", "low": 0.0, "high": 1.0}
    about |= {"direction": "higher", "tie": 0.0, "pairwise": False, "parts": []}
    rows, scores = [], []
    with Store.prepare(folder, "per_prompt") as store:
        for number in range(images):
            prompt, place = divmod(number, len(METHODS))
            method = list(METHODS)[place]
            key = f"{number:024x}"
            coarse = torch.tensor(rng.random((1, 3, 6, 6)), dtype=torch.float32)
            smooth = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic")[0]
            pixels = (smooth + 0.04 * torch.tensor(rng.normal(size=(3, side, side)))).clamp(0, 1)
            about_image = {
                "model": "made-up",
                "method": method,
                "prompt": f"a picture of number {prompt}",
                "seed": 0,
            }
            path = store.save_image(key, pixels, about_image)
            rows.append(
                about_image
                | {"kind": "setting", "id": key, "image": path, "model_id": "m", "setting": method}
                | {
                    "prompt_id": str(prompt),
                    "kind": ("single", "pair")[prompt % 2],
                    "unseen": None,
                    "suite": None,
                }
                | {
                    "categories": None,
                    "metadata": None,
                    "objective": "none",
                    "optimised": [],
                    "stopped": "done",
                }
                | {
                    "calls": float(METHODS[method]),
                    "seconds": METHODS[method] / 10,
                    "batch": 8,
                    "peak_memory": None,
                }
            )
            gain = 0.1 * place
            for metric in METRICS:
                value = float(rng.random() < 0.4 + gain) if metric == "truth" else float(rng.normal() + gain)
                scores.append(
                    {"id": key, "metric": metric, "metric_id": metric, "tie": 0.0, "values": {metric: value}}
                )
        store.append(
            "metrics", [about | {"name": m, "metric_id": m, "ground_truth": m == "truth"} for m in METRICS]
        )
        store.append("rows", rows)
        store.append("scores", scores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=260)
    parser.add_argument("--side", type=int, default=64, help="pixels of an image's side")
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        store = Path(folder) / "run"
        pictures(given.images, given.side, store)
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            page = nk.load_run(store).report()
            seconds.append(time.perf_counter() - started)
        size = page.stat().st_size / 2**20
        print(f"{given.images} images of {given.side} pixels: {min(seconds):.2f} s, {size:.1f} MB")


if __name__ == "__main__":
    main()
