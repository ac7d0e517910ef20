"""What the engine itself costs: seconds a cell of a run whose images cost nothing.

    python benchmarks/engine.py --cells 10000

A model of no work (an 8 × 8 grey picture whatever the noise) runs by standard sampling over the given number of prompts,
one seed each so that no diversity is measured, and is scored by the truth alone. What remains is the engine: identities,
batches, the method's loop, noise figures, PNG files and JSON lines. The second run finds all there. Growth is the time of
the last tenth of the rows over that of the first: 1 when appending does not depend on what is there. Imports are out.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noisekit.comparison import run_plan
from noisekit.cost import counted
from noisekit.models.analytic import AnalyticModel
from noisekit.models.base import Conditioning
from noisekit.plan import load_plan


class Nothing(AnalyticModel):
    """A model whose every image is grey, at the price of one call that computes nothing."""

    def encode(self, prompts: Sequence[str]) -> Conditioning:
        return Conditioning(torch.zeros(len(prompts), 1, 1), torch.zeros(1, 1, 1))

    def sample(self, noise: Tensor, *_: Any, **__: Any) -> Tensor:
        return counted("denoiser", noise)

    def decode(self, latents: Tensor) -> Tensor:
        return torch.full((len(latents), 3, *latents.shape[2:]), 0.5)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=10_000, help="images")
    parser.add_argument("--batch", type=int, default=8, help="images in a batch")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        timed(16, given.batch, f"{folder}/imports")
        first, again = (timed(given.cells, given.batch, f"{folder}/store") for _ in range(2))
        (rows,) = Path(folder).glob("store/rows/*")
        stamps = [json.loads(line)["created"] for line in rows.open(encoding="utf-8")]
    tenth = len(stamps) // 10
    growth = (stamps[-1] - stamps[-tenth]) / (stamps[tenth - 1] - stamps[0])
    for name, (wall, cpu) in {"made": first, "found there": again}.items():
        print(
            f"{name}: {1e3 * wall / given.cells:.3f} ms a cell ({1e3 * cpu / given.cells:.3f} of the processor)"
        )
    print(f"{len(stamps)} cells in batches of {given.batch}; last tenth over first: {growth:.2f}")


def timed(cells: int, batch: int, folder: str) -> tuple[float, float]:
    """Seconds of a whole run, by the clock and of the processor."""
    plan = load_plan(
        {
            "models": [Nothing(size=8, steps=1)],
            "methods": ["standard"],
            "prompts": {"texts": [f"prompt {i}" for i in range(cells)]},
            "metrics": ["truth"],
            "batch": batch,
        }
    )
    start = time.perf_counter(), time.process_time()
    run_plan(plan, store=folder, progress=False)
    return time.perf_counter() - start[0], time.process_time() - start[1]


if __name__ == "__main__":
    main()
