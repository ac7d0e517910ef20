"""A run to vote on, without a model: drawn images, three methods, a prompt that would like to be a script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from noisekit.runs import Run, load_run
from noisekit.store.store import Store
from tests.store.lines import image, score

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)> & \"a red circle\""
PROMPTS = {
    "a red circle": "single",
    "two blue squares": "count",
    "a green triangle": "single",
    HOSTILE: "single",
}
COSINE, RENO = "cosine(steps=2)", "reno(steps=3, lr=5.0)"
METHODS = ("standard", COSINE, RENO)


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    """Fill a store with images of `methods` on `prompts` and `seeds`, and scores by "truth" and "hps"."""

    def made(
        methods: tuple[str, ...] = METHODS,
        prompts: dict[str, str] = PROMPTS,
        seeds: int = 2,
        name: str = "run",
    ) -> Run:
        draw = torch.Generator().manual_seed(0)
        about = {"version": "1", "weights": "tiny", "family": "none", "low": 0.0, "high": 1.0}
        about |= {"direction": "higher", "tie": 0.0, "pairwise": False}
        with Store.prepare(tmp_path / name, "per_prompt") as store:
            rows, scores = [], []
            for place, method in enumerate(methods):
                for number, (prompt, kind) in enumerate(prompts.items()):
                    for seed in range(seeds):
                        key = f"{place:04x}{number:04x}{seed:04x}" + 20 * "0"
                        pixels = torch.rand(3, 24, 24, generator=draw)
                        path = store.save_image(
                            key, pixels, {"method": method, "prompt": prompt, "seed": seed}
                        )
                        rows.append(
                            image(
                                key,
                                image=path,
                                model="tiny",
                                method=method,
                                prompt=prompt,
                                seed=seed,
                                prompt_id=str(number),
                                setting=f"setting {place}",
                                kind=kind,
                                calls=1.0,
                                seconds=0.1,
                            )
                        )
                        scores.append(score(key, "truth", "t", truth=place / 2))
                        scores.append(score(key, "hps", "h", hps=float(np.sin(place + number + seed))))
            store.append("metrics", [about | {"name": n, "metric_id": n[0]} for n in ("truth", "hps")])
            store.append("rows", rows)
            store.append("scores", [line | {"tie": 0.0} for line in scores])
        return load_run(tmp_path / name)

    return made


@pytest.fixture
def run(make_run: Callable[..., Run]) -> Run:
    return make_run()
