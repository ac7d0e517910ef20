"""Stores with curves that are known: what each method is worth at each cost is written down here, and nothing else is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from noisekit.metrics.info import MetricInfo
from noisekit.results.run import Run, load_run
from noisekit.store.store import Store
from noisekit.types import Arm

#: Seconds of one denoiser call in the rows of these stores.
CALL = 0.01


@dataclass(frozen=True)
class Known:
    """A method: quality by candidate of its checkpoints, the last being the whole search; calls of a candidate."""

    quality: Mapping[int, float]
    calls: float
    optimised: Sequence[str] = ()
    model: str = "toy"
    model_name: str | None = None
    row: Mapping[str, Any] = field(default_factory=dict)


def write_run(
    folder: Path,
    methods: Mapping[str | Arm, Known],
    *,
    prompts: int = 60,
    seeds: int = 2,
    spread: float = 0.1,
    luck: int = 0,
    metrics: Sequence[str] = ("truth",),
    late: Sequence[str] = (),
    families: Mapping[str, str] | None = None,
) -> Run:
    """A run whose scores are the known quality, what its prompt adds, and noise of the `spread` that is each image's own.

    luck: seed of that noise. late: metrics that were added after the searches.
    """
    draw = np.random.default_rng(luck)
    level = draw.normal(0.5, 0.2, prompts)
    with Store.prepare(folder, "per_prompt") as store:
        for name in metrics:
            family = (families or {}).get(name, name)
            info = MetricInfo(name=name, version="", weights="", family=family, low=-9, high=9, tie=0.0)
            store.append("metrics", [{"metric_id": name} | asdict(info)])
        for method, known in methods.items():
            for prompt in range(prompts):
                for seed in range(seeds):
                    key = f"{known.model} {method} {prompt} {seed}"
                    last = max(known.quality)
                    scores = {
                        n: {m: level[prompt] + q + draw.normal(0, spread) for m in metrics}
                        for n, q in known.quality.items()
                    }
                    spent = {"calls": last * known.calls, "seconds": last * known.calls * CALL}
                    about = {
                        "model": known.model,
                        "model_name": known.model_name,
                        **(method if isinstance(method, Arm) else Arm(method)).columns,
                        "prompt": f"prompt {prompt}",
                        "seed": seed,
                    }
                    row = about | _counts(known, last) | spent
                    row |= {"id": key, "setting": f"{known.model} {method}", "model_id": known.model}
                    row |= {"prompt_id": str(prompt), "image": f"images/{prompt}.png", "stopped": "done"}
                    row |= {"objective": "none", "optimised": list(known.optimised), "suite": "toys"}
                    row |= dict.fromkeys(("kind", "unseen", "categories")) | dict.fromkeys(_NOISE, 0.0)
                    store.append("rows", [row | known.row])
                    store.append(
                        "scores",
                        [
                            {
                                "id": key,
                                "score_id": f"{key} {m}",
                                "metric": m,
                                "metric_id": m,
                                "values": {m: value},
                            }
                            for m, value in scores[last].items()
                        ],
                    )
                    points = [_point(n, scores.get(n), known, late) for n in range(1, last + 1)]
                    store.append("traces", [{"id": key, "points": points}] if last > 1 else [])
    return load_run(folder)


_NOISE = ("noise_norm", "noise_cosine", "noise_distance", "noise_kurtosis")


def _point(n: int, scores: Mapping[str, float] | None, known: Known, late: Sequence[str]) -> dict[str, float]:
    point = {"step": n - 1, "calls": n * known.calls, "seconds": n * known.calls * CALL}
    if scores is not None:
        point |= {f"metric_{name}": score for name, score in scores.items() if name not in late}
        point |= _counts(known, n)
    return point


def _counts(known: Known, candidates: int) -> dict[str, float]:
    """One denoiser call a call, one image in the end, and one reward a candidate of methods that climb any."""
    rewards = candidates if known.optimised else 0
    return {"calls_denoiser": candidates * known.calls, "calls_decoder": 1.0, "calls_reward": rewards}
