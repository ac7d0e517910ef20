"""The evaluator: images and prompts in, one row an image and one column a metric out.

Images are judged as the 8-bit files that people get, the same way for every method; see `noisekit.metrics.base`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from noisekit.errors import BadValue
from noisekit.hashing import digest, plain
from noisekit.metrics.base import Metric
from noisekit.metrics.info import MetricInfo
from noisekit.metrics.loading import load_metric
from noisekit.prompts import Prompt
from noisekit.registry import DEFAULT_METRICS, checked_metrics
from noisekit.rewards import Precision, release

if TYPE_CHECKING:
    import pandas as pd


class InTurn(Metric):
    """A metric whose networks are in memory only while it is its turn: the one that is called next takes its place.

    held: the one that is in memory, shared by all that take turns.
    """

    def __init__(self, name: str, load: Callable[[], Metric], held: dict[str, Metric]) -> None:
        self.name, self._load, self._held = name, load, held
        metric = self._taken()
        self._info, self._identity = metric.info, metric.identity
        self.reads_record, self.reads_frames = metric.reads_record, metric.reads_frames

    @property
    def info(self) -> MetricInfo:
        return self._info

    @property
    def identity(self) -> Mapping[str, Any]:
        return self._identity

    def score(self, images: Tensor, prompts: Sequence[Prompt]) -> Tensor:
        return self._taken()(images, prompts)

    def cut(self, prompts: Sequence[str]) -> list[int]:
        return self._taken().cut(prompts)

    def _taken(self) -> Metric:
        if self.name not in self._held:
            self._held.clear()
            release()
            self._held[self.name] = self._load()
        return self._held[self.name]


class Evaluator:
    """Scores images by several metrics: `Evaluator(["clip_score", "truth"])(images, prompts)` is a DataFrame.

    Args:
        metrics: Names; see `noisekit list metrics`.
        weights: As for `load_metric`, and so are `device` and `dtype`.
        batch: Images at once.
        low_memory: Whether only the metric that scores is in memory.

    Raises:
        BadValue: A metric is unknown, or stands twice.
        CorruptWeights: Files are missing or damaged; at once, and not at the first image.
    """

    def __init__(
        self,
        metrics: Sequence[str] = DEFAULT_METRICS,
        weights: str = "tiny",
        device: str | torch.device = "cpu",
        batch: int = 64,
        dtype: Precision = "float32",
        low_memory: bool = False,
    ) -> None:
        self.batch, self.metrics = batch, dict[str, Metric]()
        held: dict[str, Metric] = {}
        for name in checked_metrics(metrics) if metrics else ():
            load = partial(load_metric, name, weights, device, dtype)
            self.metrics[name] = InTurn(name, load, held) if low_memory else load()
        self._identities = {name: metric.identity for name, metric in self.metrics.items()}
        if held:  # what they are is known; what scores first is loaded then
            held.clear()
            release()

    def score_id(self, image: str, metric: str, prompt: Prompt) -> str:
        """The hash of a score: of the image's id, the metric and its weights, and the prompt's record where it is read."""
        judge = self.metrics[metric]
        record = {"record": plain(prompt.metadata)} if judge.reads_record else {}
        return digest({"generation": image, "metric": self._identities[metric], **record})

    @property
    def columns(self) -> list[str]:
        return [column for metric in self.metrics.values() for column in metric.info.columns]

    def __call__(self, images: Tensor | Sequence[Tensor], prompts: Sequence[str | Prompt]) -> pd.DataFrame:
        """Scores of images (N, 3, H, W) in [0, 1], or of N images (3, H, W) or frames (F, 3, H, W) of any sizes."""
        import pandas as pd

        return pd.DataFrame(self.scores(images, prompts), columns=self.columns)

    def scores(
        self,
        images: Tensor | Sequence[Tensor],
        prompts: Sequence[str | Prompt],
        metrics: Sequence[str] | None = None,
    ) -> dict[str, list[float]]:
        """The columns of the frame as lists, of all metrics or of some."""
        if len(images) != len(prompts):
            raise BadValue(f"{len(images)} images came with {len(prompts)} prompts; give one prompt an image")
        chosen = [metric for name, metric in self.metrics.items() if metrics is None or name in metrics]
        result: dict[str, list[float]] = {column: [] for metric in chosen for column in metric.info.columns}
        for _, group in groupby(range(len(prompts)), key=lambda i: tuple(images[i].shape)):
            alike = list(group)
            for part in (alike[start : start + self.batch] for start in range(0, len(alike), self.batch)):
                stacked, texts = torch.stack([images[i] for i in part]), [prompts[i] for i in part]
                for metric in chosen:
                    columns = metric(stacked, texts).T.tolist()
                    for column, values in zip(metric.info.columns, columns, strict=True):
                        result[column].extend(values)
        return result
