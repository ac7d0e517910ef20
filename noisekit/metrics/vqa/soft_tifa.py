"""Soft-TIFA, GenEval 2's score: how likely a vision-language model gives the right answers to questions about an image.

    s_j = P(spellings of a_j | x, "q_j Answer in one word.")          of the questions q_j and answers a_j of a prompt
    soft_tifa = (Π s_j)^(1/n), for the prompt as a whole              soft_tifa_atoms = mean of s_j, for its parts

An answer is spelt with and without a capital, with and without a space before it, a number as digits too. Of a spelling the
first token counts, each token once: where a tokenizer splits " 4" after the space, the space counts, as in the published
score. "GenEval 2", 2025, arXiv 2512.16853: Qwen3-VL-8B-Instruct.
Its questions (geneval2_data.jsonl) are under CC BY-NC 4.0 and do not come with noisekit.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, geometric_mean
from typing import ClassVar

import torch
from torch import Tensor

from noisekit.errors import BadValue
from noisekit.metrics.vqa.judge import JudgeMetric
from noisekit.prompts import Prompt
from noisekit.registry import printed
from noisekit.rewards.preprocess import to_pillow

QUESTION = "{} Answer in one word."
NUMBERS = dict(zip("one two three four five six seven eight nine ten".split(), range(1, 11), strict=True))
#: The column of a prompt's record with its questions and answers.
LIST = "vqa_list"


class SoftTIFA(JudgeMetric):
    """Its weights are those of any vision-language model of transformers; questions come with the prompts' records."""

    name: ClassVar[str] = "soft_tifa"
    card = "soft_tifa"
    question = QUESTION
    says = "geometric mean over questions, "
    parts = ("atoms",)
    reads_record = True

    @classmethod
    def applies(cls, prompt: Prompt) -> bool:
        return LIST in prompt.metadata

    def score(self, images: Tensor, prompts: Sequence[Prompt]) -> Tensor:
        pairs = [questions(prompt) for prompt in prompts]
        seen = [picture for picture, own in zip(to_pillow(images), pairs, strict=True) for _ in own]
        asked = [QUESTION.format(question) for own in pairs for question, _ in own]
        answers = iter(
            self.judge.begins(seen, asked, [spellings(answer) for own in pairs for _, answer in own])
        )
        return torch.tensor([means([next(answers) for _ in own]) for own in pairs])


class SoftTIFA4Bit(SoftTIFA):
    """The same with weights of 4 bits."""

    name = "soft_tifa_4bit"
    four_bit = True


def questions(prompt: Prompt) -> list[tuple[str, str]]:
    """The questions of a prompt with their answers; raises `BadValue` where its record holds no such list."""
    given = prompt.metadata[LIST]
    try:
        pairs = [(str(question), str(answer)) for question, answer in given]
    except (TypeError, ValueError):
        pairs = []
    if not pairs:
        raise BadValue(
            f"{LIST} of prompt {prompt.text!r} is {printed(given)} and no list of [question, answer]; read it from "
            "geneval2_data.jsonl, or write it so"
        )
    return pairs


def spellings(answer: str) -> list[str]:
    """How an answer may be written."""
    word = answer.strip().lower()
    forms = [word, word.capitalize(), *([str(NUMBERS[word])] if word in NUMBERS else [])]
    return [*forms, *(f" {form}" for form in forms)]


def means(chances: Sequence[float]) -> tuple[float, float]:
    """The geometric mean, 0 where one is 0, and the mean."""
    return (geometric_mean(chances) if min(chances) > 0 else 0.0), fmean(chances)
