"""A run that nobody ran: two models, four methods, drawn images, scores with a known effect, and one hostile prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from noisekit.evaluation.bradley_terry import bradley_terry
from noisekit.evaluation.categories import by_category
from noisekit.evaluation.comparisons import comparisons
from noisekit.evaluation.noise_analysis import NoiseAnalysis, noise_analysis
from noisekit.evaluation.statistics import summary
from noisekit.metrics.info import MetricInfo
from noisekit.types import Arm, Budget
from noisekit.vote.votes import Votes

HOSTILE = "<b>bold</b><script>document.title='owned'</script> & \"a red circle\" <img src=x onerror=alert(1)>"
PROMPTS = {
    "a red circle": "single",
    "two blue squares": "count",
    "a red circle and a blue square": "pair",
    "a red circle to the left of a blue square": "relation",
    HOSTILE: "single",
}
SELECTION = "selection(candidates=16, pick='stable', round_trip_steps=4)"
RENO_SHORT = "reno(steps=10, lr=0.7, rewards='clip_score:1')"
RENO_LONG = "reno(steps=20, lr=0.7, rewards='clip_score:1')"
METHODS = {"tiny": ["standard", SELECTION], "tiny-turbo": ["standard", RENO_SHORT, RENO_LONG]}
CALLS = {"standard": 1, SELECTION: 144, RENO_SHORT: 31, RENO_LONG: 61}
GAIN = {"standard": 0.0, SELECTION: 0.0, RENO_SHORT: 6.0, RENO_LONG: 9.0}


def arm(name: str) -> Arm:
    """The arm that is printed so."""
    method, _, calls = name.partition(" @ ")
    return Arm(method, Budget(calls=float(calls.removesuffix(" calls"))) if calls else Budget())


@dataclass
class SyntheticRun:
    folder: Path
    rows: pd.DataFrame
    points: pd.DataFrame
    metrics: tuple[str, ...] = ("clip_score", "aesthetic", "truth")
    failed: list[dict[str, Any]] = field(default_factory=list)
    resolved: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    ties: dict[str, float] = field(default_factory=dict)

    @property
    def manifest(self) -> Mapping[str, Any]:
        versions = {"noisekit": "0.1.0", "torch": "2.15.0"}
        return {
            "created": "2030-01-01T00:00:00",
            "versions": versions,
            "hardware": {"cpu": "a CPU", "cores": 2},
            "noise": "per_prompt",
            **self.about,
        }

    @property
    def arms(self) -> Mapping[str, Arm]:
        return {name: arm(name) for name in self.rows["method"].unique()}

    @property
    def metric_ids(self) -> Mapping[str, str]:
        return dict.fromkeys(self.metrics, "00000000") | self.ids

    @property
    def metric_info(self) -> Mapping[str, MetricInfo]:
        about: dict[str, Any] = {
            "version": "a definition",
            "weights": "tiny",
            "low": 0.0,
            "high": 1.0,
        }
        family = {"clip_score": "CLIP ViT-3x96/4", "aesthetic": "CLIP ViT-3x96/4", "truth": "checker"}
        truth = {"parts": ("colour", "shape", "count", "relation"), "ground_truth": True}
        own: dict[str, dict[str, Any]] = {"truth": truth}
        return {
            name: MetricInfo(
                name=name, family=family[name], tie=self.ties.get(name, 0.0), **about, **own.get(name, {})
            )
            for name in self.metrics
        }

    def frame(self) -> pd.DataFrame:
        return self.rows.copy()

    def traces(self) -> pd.DataFrame:
        return self.points.copy()

    shared = False

    def summary(self) -> pd.DataFrame:
        return summary(self.rows, self.metrics, {"truth": 0.0})

    def tests(self) -> pd.DataFrame:
        return comparisons(self.rows, self.metrics, shared=self.shared, optimised=self.optimised)

    def bradley_terry(self) -> pd.DataFrame:
        turbo = self.rows[self.rows["model"] == "tiny-turbo"]
        return bradley_terry(turbo, ["aesthetic"]).assign(model="tiny-turbo")

    def by_category(self) -> pd.DataFrame:
        return by_category(self.rows, self.metrics)

    def curves(self) -> pd.DataFrame:
        """Long reno was watched on its way, where it had half of its gain for half of its calls."""
        whole = self.rows.assign(search=self.rows["method"])
        way = whole[whole["method"] == RENO_LONG]
        return pd.concat(
            [whole, way.assign(method=f"{RENO_LONG} @ 10 candidates", calls=30.0, clip_score=50.0)]
        )

    def votes(self) -> Votes:
        """Nobody voted."""
        return Votes([], self.rows, self.ties)

    def failures(self) -> pd.DataFrame:
        return pd.DataFrame(
            self.failed, columns=["model", "method", "prompt", "seed", "metric", "reason", "attempt"]
        )

    def settings(self) -> Mapping[tuple[str, str], Mapping[str, Any]]:
        return self.resolved

    def correlations(self) -> pd.DataFrame:
        return self.rows[list(self.metrics)].astype(float).corr("spearman")

    def diversity_summary(self) -> pd.DataFrame:
        """Selection is as diverse as standard or more, reno less."""
        rows = self.rows[["model", "method"]].drop_duplicates()
        d = rows["method"].map(lambda method: np.nan if method == "standard" else -0.02 * ("reno" in method))
        ends = {"diversity_low": d - 0.01, "diversity_high": d + 0.01}
        return rows.assign(n_prompts=5, seeds=3, diversity=0.1 + d.fillna(0), diversity_difference=d, **ends)

    def noise_analysis(self) -> NoiseAnalysis:
        """All keep the low frequencies, double the power of the middle ones and keep half of the high ones."""
        records = [
            {
                "model": model,
                "method": method,
                "shape": [4, 4, 4],
                "found": [4.0, 16.0, 40.0, 4.0],
                "initial": [4.0, 16.0, 20.0, 4.0],
                "cross": [4.0, 16.0, 20.0, 2.0],
                "similarity": [0.9, 0.5],
            }
            for model, method in self.rows[["model", "method"]].drop_duplicates().to_numpy()
        ]
        return noise_analysis(records)

    def optimised(self, method: str) -> frozenset[str]:
        return frozenset({"clip_score"} if method.startswith("reno") else set())

    def objective(self, method: str) -> str:
        return {"reno": "reward", "selection": "stability"}.get(method.partition("(")[0], "none")


def made(
    folder: Path,
    prompts: Mapping[str, str | None] = PROMPTS,
    worlds: Mapping[str, list[str]] = METHODS,
    side: int = 32,
    seeds: int = 3,
) -> SyntheticRun:
    """A run; `prompts` maps texts to kinds, `worlds` models to methods, `side` is the images' size in pixels."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(exist_ok=True)
    rows: list[dict[str, Any]] = []
    points: list[dict[str, Any]] = []
    for model, methods in worlds.items():
        for method in methods:
            for number, (prompt, kind) in enumerate(prompts.items()):
                for seed in range(seeds):
                    name = f"images/{model}-{methods.index(method)}-{number}-{seed}.png"
                    Image.fromarray(rng.integers(0, 255, (side, side, 3), dtype=np.uint8)).save(folder / name)
                    key = {
                        "model": model,
                        "model_name": model,
                        "method": method,
                        "prompt": prompt,
                        "seed": seed,
                    }
                    rows.append(
                        key
                        | {
                            "prompt_id": f"{number:04x}",
                            "kind": kind,
                            "unseen": None if kind is None else number % 2 == 1,
                            "image": name,
                            "clip_score": 50 + 3 * number + GAIN[method] + rng.normal(),
                            "aesthetic": 0.5 + rng.normal() / 10,
                            "truth": np.nan if kind is None else float(rng.random() < 0.5),
                            "truth_colour": np.nan if kind is None else 1.0,
                            "truth_relation": 1.0 if kind == "relation" else np.nan,
                            "calls": float(CALLS[method]),
                            "seconds": CALLS[method] / 100,
                            "stopped": "done",
                            "noise_norm": 16.0,
                            "noise_distance": 0.0 if method == "standard" else 3.0,
                        }
                    )
                    points += trace(key, method, rng)
    return SyntheticRun(folder, pd.DataFrame(rows), pd.DataFrame(points))


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., SyntheticRun]:
    """`made` in a folder of the test's own."""
    return partial(made, tmp_path)


def trace(key: Mapping[str, Any], method: str, rng: np.random.Generator) -> list[dict[str, Any]]:
    """A search that climbs and levels off, with the metrics at every fifth step of those that decode on the way."""
    if method == "standard":
        return []
    steps = {RENO_SHORT: 10, RENO_LONG: 20}.get(method, 16)
    points = []
    for step in range(steps):
        best = 50 + GAIN[method] * (1 - np.exp(-step / 5)) + rng.normal() / 5
        point = dict(key) | {
            "step": step,
            "calls": 3.0 * step,
            "seconds": step / 9,
            "score": best - 0.3,
            "best": best,
        }
        if method.startswith("reno") and step % 5 == 0:
            point |= {"metric_clip_score": best, "metric_truth": float(rng.random() < 0.6 - step / 60)}
        points.append(point)
    return points


@pytest.fixture
def run(make_run: Callable[..., SyntheticRun]) -> SyntheticRun:
    return make_run()


@pytest.fixture(scope="session")
def shown_run(tmp_path_factory: pytest.TempPathFactory) -> SyntheticRun:
    """The run whose page is `page`; a test that changes a run takes one of its own, `run`."""
    return made(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def page(shown_run: SyntheticRun) -> str:
    """A page, which takes seconds to draw."""
    from noisekit.report.page import render

    return render(shown_run)
