"""BLIP's answers to yes-or-no questions about pictures, by which T2I-CompBench judges attributes.

    p = P(yes) / (P(yes) + P(no)) = σ(l_yes − l_no)        l: logits of the first word of BLIP's answer
    attributes(x, c) = Π p("PHRASE?") over the noun phrases of c               each p, and the product, to four digits

A picture is squeezed into the tower's square. A batch holds questions of one length only: transformers' decoder attends to
padding, so that a question's answer would depend on its neighbours. Li, Li, Xiong, Hoi 2022, arXiv 2201.12086.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from noisekit.rewards.checkpoint import load_network, load_tokenizer
from noisekit.rewards.clip import backbone
from noisekit.rewards.folders import folder_hash
from noisekit.rewards.preprocess import CLIP_MEAN, CLIP_STD, normalised

#: Tokens of BLIP's vocabulary: where a question and an answer begin, and the two answers.
ASK, ANSWER, YES, NO = 30523, 30522, 2748, 2053
#: Words and tokens of a question that are read.
WORDS, TOKENS = 50, 35
#: Questions at once.
BATCH = 64


class BlipVQA:
    """A folder with a `BlipForQuestionAnswering` and its tokenizer."""

    def __init__(
        self, folder: Path, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        from transformers import BlipForQuestionAnswering

        self.device, self.dtype = torch.device(device), dtype
        self.network = load_network(BlipForQuestionAnswering, folder, self.device, dtype)
        self.tokenizer = load_tokenizer(folder)
        vision = self.network.config.vision_config
        self.size = int(vision.image_size)
        self.name = f"{backbone(vision, 'BLIP')} at {self.size}"
        self.identity: dict[str, Any] = {"vqa": folder_hash(folder), "size": self.size, "version": 1}

    @torch.no_grad()
    def yes(self, pictures: Sequence[Image.Image], questions: Sequence[Sequence[str]]) -> list[list[float]]:
        """How likely each picture's questions are answered by yes and not by no, to four digits."""
        seen = self._see(pictures)
        asked = [(i, self._tokens(question)) for i, own in enumerate(questions) for question in own]
        answers = dict[int, float]()
        for length in {len(ids) for _, ids in asked}:
            alike = [place for place, (_, ids) in enumerate(asked) if len(ids) == length]
            for part in (alike[start : start + BATCH] for start in range(0, len(alike), BATCH)):
                ids = torch.tensor([asked[place][1] for place in part], device=self.device)
                values = self._answers(seen[[asked[place][0] for place in part]], ids)
                answers |= zip(part, values.tolist(), strict=True)
        places = iter(range(len(asked)))
        return [[round(answers[next(places)], 4) for _ in own] for own in questions]

    def _answers(self, seen: Tensor, ids: Tensor) -> Tensor:
        """σ(l_yes − l_no) (B,) of image states (B, T, D) and questions (B, L)."""
        question = self.network.text_encoder(
            input_ids=ids, attention_mask=torch.ones_like(ids), encoder_hidden_states=seen
        ).last_hidden_state
        start = ids.new_full((len(ids), 1), ANSWER)
        logits = self.network.text_decoder(input_ids=start, encoder_hidden_states=question).logits[:, -1]
        return (logits[:, YES].float() - logits[:, NO].float()).sigmoid()

    def _see(self, pictures: Sequence[Image.Image]) -> Tensor:
        """The states (B, T, D) of the image tower."""
        squares = [picture.resize((self.size, self.size), Image.Resampling.BICUBIC) for picture in pictures]
        pixels = torch.from_numpy(np.stack([np.asarray(square) for square in squares])).permute(0, 3, 1, 2)
        pixels = normalised(pixels.to(self.device).float() / 255, CLIP_MEAN, CLIP_STD).to(self.dtype)
        states: Tensor = self.network.vision_model(pixel_values=pixels).last_hidden_state
        return states

    def _tokens(self, question: str) -> list[int]:
        """The ids of a question; its first token says that it is one."""
        ids = self.tokenizer(cleaned(question), truncation=True, max_length=TOKENS)["input_ids"]
        return [ASK, *ids[1:]]


def cleaned(question: str) -> str:
    """A question as BLIP was trained on them: lower case, without some marks, single spaces, `WORDS` at most."""
    text = re.sub(r"[.!\"()*#:;~]", "", question.lower())
    return " ".join(text.split()[:WORDS])


def product(chances: Iterable[float]) -> float:
    """The product to four digits; 1 of nothing."""
    result = 1.0
    for chance in chances:
        result *= chance
    return round(result, 4)
