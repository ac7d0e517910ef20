"""VQAScore: how likely a vision-language model answers that an image shows its prompt.

    vqa_score = P("Yes" | x, 'Does this figure show "c"? Please answer Yes or No.')                                0 … 1

Lin, Pathak, Li, Li, Xia, Neubig, Zhang, Ramanan 2024, "Evaluating text-to-visual generation with image-to-text generation",
arXiv 2404.01291. Their numbers are of CLIP-FlanT5, whose score is the geometric mean of the chances of "Yes" and of an end;
scores by other models are on scales of their own, and the model stands beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from noisekit.metrics.base import Metric
from noisekit.metrics.info import MetricInfo
from noisekit.metrics.vqa.judge import Judge
from noisekit.metrics.weights import folders, shown
from noisekit.prompts import Prompt
from noisekit.rewards import Precision
from noisekit.rewards.preprocess import to_pillow

QUESTION = 'Does this figure show "{}"? Please answer Yes or No.'


class VQAScore(Metric):
    """Its weights are those of any vision-language model of transformers with its processor."""

    name: ClassVar[str] = "vqa_score"
    four_bit: ClassVar = False

    def __init__(self, judge: Judge, weights: str) -> None:
        self.judge, self._weights = judge, weights

    @classmethod
    def load(cls, weights: str, device: str | torch.device, dtype: Precision) -> Self:
        folder = folders(VQAScore.name, weights)["judge"]
        return cls(Judge(folder, device, dtype, cls.four_bit), shown(weights))

    @property
    def info(self) -> MetricInfo:
        how = f", {self.judge.precision}" if self.judge.precision else ""
        return MetricInfo(
            name=self.name,
            version=f"P(Yes) of {self.judge.name}{how}",
            weights=self._weights,
            family=self.judge.name,
            low=0.0,
            high=1.0,
            tie=1e-4,
        )

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"metric": self.name, "version": 1, "question": QUESTION, **self.judge.identity}

    def score(self, images: Tensor, prompts: Sequence[Prompt]) -> Tensor:
        questions = [QUESTION.format(prompt.text) for prompt in prompts]
        return torch.tensor(self.judge.begins(to_pillow(images), questions, [["Yes"]] * len(prompts)))[
            :, None
        ]


class VQAScore4Bit(VQAScore):
    """The same with weights of 4 bits."""

    name = "vqa_score_4bit"
    four_bit = True
