"""VQAScore: how likely a vision-language model answers that an image shows its prompt.

    vqa_score = P("Yes" | x, 'Does this figure show "c"? Please answer Yes or No.')                                0 … 1

Lin, Pathak, Li, Li, Xia, Neubig, Zhang, Ramanan 2024, "Evaluating text-to-visual generation with image-to-text generation",
arXiv 2404.01291. Their numbers are of CLIP-FlanT5, whose score is the geometric mean of the chances of "Yes" and of an end;
scores by other models are on scales of their own, and the model stands beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from noisekit.metrics.vqa.judge import JudgeMetric
from noisekit.prompts import Prompt
from noisekit.rewards.preprocess import to_pillow

QUESTION = 'Does this figure show "{}"? Please answer Yes or No.'


class VQAScore(JudgeMetric):
    """Its weights are those of any vision-language model of transformers with its processor."""

    name: ClassVar[str] = "vqa_score"
    card = "vqa_score"
    question = QUESTION
    says = "P(Yes) of "

    def score(self, images: Tensor, prompts: Sequence[Prompt]) -> Tensor:
        questions = [QUESTION.format(prompt.text) for prompt in prompts]
        return torch.tensor(self.judge.begins(to_pillow(images), questions, [["Yes"]] * len(prompts)))[
            :, None
        ]


class VQAScore4Bit(VQAScore):
    """The same with weights of 4 bits."""

    name = "vqa_score_4bit"
    four_bit = True
