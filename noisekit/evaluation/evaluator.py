"""The evaluator: images and prompts in, one row an image and one column a metric out.

Images are judged as the 8-bit files that people get, the same way for every method, whatever a method computed inside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol

from noisekit.errors import BadValue, unknown
from noisekit.evaluation.metric import MetricInfo
from noisekit.evaluation.truth import Truth
from noisekit.registry import DEFAULT_METRICS, REWARDS
from noisekit.rewards import Precision, Reward, load_reward, release

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import Tensor


class Metric(Protocol):
    """What the evaluator asks of a metric. The first of its columns is its score, higher being better."""

    info: MetricInfo
    columns: tuple[str, ...]
    identity: Mapping[str, Any]

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> dict[str, list[float]]: ...

    def cut(self, prompts: Sequence[str]) -> list[int]:
        """How many tokens of each prompt it cannot read."""
        ...


class JudgedReward:
    """A reward as a metric: its 8-bit path, one column, which is `<name>_score` where the reward is pairwise."""

    def __init__(self, reward: Reward) -> None:
        self.reward, self.info = reward, MetricInfo.of(reward)
        self.columns: tuple[str, ...] = (self.info.raw,)
        self.identity: Mapping[str, Any] = reward.identity

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> dict[str, list[float]]:
        return {self.info.raw: self.reward.judge(images, prompts).tolist()}

    def cut(self, prompts: Sequence[str]) -> list[int]:
        return self.reward.cut(prompts)


class InTurn:
    """A judged reward whose network is in memory only while it is its turn: the one that is called next takes its place.

    held: the one that is in memory, shared by all that take turns.
    """

    def __init__(self, name: str, load: Callable[[], Reward], held: dict[str, JudgedReward]) -> None:
        self.name, self._load, self._held = name, load, held
        metric = self._taken()
        self.info, self.columns, self.identity = metric.info, metric.columns, metric.identity

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> dict[str, list[float]]:
        return self._taken()(images, prompts)

    def cut(self, prompts: Sequence[str]) -> list[int]:
        return self._taken().cut(prompts)

    def _taken(self) -> JudgedReward:
        if self.name not in self._held:
            self._held.clear()
            release()
            self._held[self.name] = JudgedReward(self._load())
        return self._held[self.name]


class Evaluator:
    """Scores images by several metrics: `Evaluator(["clip_score", "truth"])(images, prompts)` is a DataFrame.

    metrics: names of rewards, or "truth"; weights ("tiny", "published" or a path), device and dtype: those of the rewards;
    batch: images at once; low_memory: whether only the network that scores is in memory. Raises `BadValue` on unknown or
    repeated metrics and `CorruptWeights` on missing or damaged files, both at once and not at the first image.
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
        held: dict[str, JudgedReward] = {}
        for name in checked_metrics(metrics) if metrics else ():
            load = partial(load_reward, name, weights, device, dtype)
            if name == "truth":
                self.metrics[name] = Truth()
            else:
                self.metrics[name] = InTurn(name, load, held) if low_memory else JudgedReward(load())
        if held:  # what they are is known; what scores first is loaded then
            held.clear()
            release()

    @property
    def columns(self) -> list[str]:
        return [column for metric in self.metrics.values() for column in metric.columns]

    def __call__(self, images: Tensor | Sequence[Tensor], prompts: Sequence[str]) -> pd.DataFrame:
        """Scores of images (N, 3, H, W) in [0, 1], or of N images (3, H, W) that may differ in size."""
        import pandas as pd

        return pd.DataFrame(self.scores(images, prompts), columns=self.columns)

    def scores(
        self, images: Tensor | Sequence[Tensor], prompts: Sequence[str], metrics: Sequence[str] | None = None
    ) -> dict[str, list[float]]:
        """The columns of the frame as lists, of all metrics or of some."""
        import torch

        if len(images) != len(prompts):
            raise BadValue(f"{len(images)} images came with {len(prompts)} prompts; give one prompt an image")
        chosen = [metric for name, metric in self.metrics.items() if metrics is None or name in metrics]
        result: dict[str, list[float]] = {column: [] for metric in chosen for column in metric.columns}
        for _, group in groupby(range(len(prompts)), key=lambda i: tuple(images[i].shape)):
            alike = list(group)
            for part in (alike[start : start + self.batch] for start in range(0, len(alike), self.batch)):
                stacked, texts = torch.stack([images[i] for i in part]), [prompts[i] for i in part]
                for metric in chosen:
                    for column, values in metric(stacked, texts).items():
                        result[column].extend(values)
        return result


def checked_metrics(metrics: Sequence[str]) -> list[str]:
    """Metric names as a list; raise on none, unknown and repeated ones."""
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    if not names:
        raise BadValue("no metrics were given; give at least one")
    for name in names:
        if name != "truth" and name not in REWARDS:
            raise unknown("metric", str(name), [*REWARDS, "truth"])
        if names.count(name) > 1:
            raise BadValue(f"metric {name!r} was given twice; give it once")
    return names
