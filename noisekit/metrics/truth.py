"""truth: whether an image shows what its prompt asks for, by the checker of the tiny world. 1 or 0.

truth is 1 where every skill that the prompt asks for is right; truth_colour, truth_shape, truth_count and truth_relation
say it skill by skill. NaN where the prompt asks for no such skill, where it is no sentence of the tiny world, and where
the image is not a square of a multiple of 32 pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from noisekit.metrics.base import Metric
from noisekit.metrics.info import MetricInfo
from noisekit.prompts import Prompt
from noisekit.world import parse
from noisekit.world.check import check


class Truth(Metric):
    """The checker as a metric; a tie is equality."""

    #: Raise it whenever the checker would judge an image otherwise.
    version: ClassVar = 1
    identity: Mapping[str, Any] = {"reward": "truth", "version": version}
    info = MetricInfo(
        name="truth",
        version=f"prompt fulfilled, version {version}",
        weights="none",
        family="checker",
        low=0.0,
        high=1.0,
        tie=0.0,
        parts=("colour", "shape", "count", "relation"),
        ground_truth=True,
    )

    @classmethod
    def applies(cls, prompt: Prompt) -> bool:
        try:
            parse(prompt.text)
        except ValueError:
            return False
        return True

    def score(self, images: Tensor, prompts: Sequence[Prompt]) -> Tensor:
        pictures = images.numpy(force=True)
        return torch.tensor(
            [self._row(picture, prompt.text) for picture, prompt in zip(pictures, prompts, strict=True)]
        )

    def _row(self, picture: Any, prompt: str) -> list[float]:
        try:
            verdict = check(picture, parse(prompt))
        except ValueError:
            return [math.nan] * len(self.info.columns)
        answers = (verdict.fulfilled, *(getattr(verdict, skill) for skill in self.info.parts))
        return [math.nan if answer is None else float(answer) for answer in answers]
