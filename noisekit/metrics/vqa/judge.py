"""An open vision-language model that is asked about pictures, and how likely its answer begins with some words.

    P(words | x, q) = Σ p(t)        over the distinct first tokens t of the words, p the softmax at the answer's first token

Picture and question are one turn of the model's own chat template, the picture first. Questions are asked in batches, padded
on the left, so that all answers begin at the last place; only that place's logits are computed. Any model that transformers
loads as `AutoModelForImageTextToText` with its processor serves: Qwen3-VL, Qwen2.5-VL, PaliGemma, LLaVA …
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from PIL.Image import Image
from torch import Tensor

from noisekit.errors import BadValue
from noisekit.metrics.base import Metric
from noisekit.metrics.info import MetricInfo
from noisekit.metrics.weights import folders, shown
from noisekit.rewards import Precision
from noisekit.rewards.checkpoint import finished, read_network
from noisekit.rewards.folders import CONFIG, DAMAGE, damaged, folder_hash, require

#: Questions at once.
BATCH = 8


class Judge:
    """A folder with a model and its processor. four_bit: whether weights are rounded to 4 bits (NF4, by bitsandbytes)."""

    def __init__(
        self, folder: Path, device: str | torch.device, dtype: Precision = "float32", four_bit: bool = False
    ) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self.device = torch.device(device)
        precision = getattr(torch, dtype)
        require(folder / CONFIG)
        try:
            self.processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
            self.processor.tokenizer.padding_side = "left"
        except DAMAGE as error:
            raise damaged(folder / "processor_config.json", error) from error
        if four_bit:
            self.network = _rounded(folder, self.device, precision)
        else:
            network, _ = read_network(AutoModelForImageTextToText, folder, folder / "model.safetensors")
            self.network = finished(network, self.device, precision)
        text = self.network.config.get_text_config()
        self.name = f"{self.network.config.model_type} {text.num_hidden_layers}x{text.hidden_size}"
        how = [] if dtype == "float32" else [dtype]
        self.precision = ", ".join([*how, *(["4 bit"] if four_bit else [])])
        self.identity: dict[str, Any] = {
            "judge": folder_hash(folder),
            "dtype": dtype,
            "bits": 4 if four_bit else None,
            "version": 1,
        }

    @torch.no_grad()
    def begins(
        self, pictures: Sequence[Image], questions: Sequence[str], words: Sequence[Sequence[str]]
    ) -> list[float]:
        """P(words | x, q) of each picture with its question."""
        answers = []
        for part in _parts(len(questions)):
            chances = self._first([pictures[i] for i in part], [questions[i] for i in part]).softmax(-1)
            answers += [chances[row, self.first_tokens(words[i])].sum().item() for row, i in enumerate(part)]
        return answers

    def first_tokens(self, words: Sequence[str]) -> list[int]:
        """The distinct first tokens of some words, none added around them."""
        encoded = self.processor.tokenizer(list(words), add_special_tokens=False)["input_ids"]
        return sorted({ids[0] for ids in encoded if ids})

    def _first(self, pictures: Sequence[Image], questions: Sequence[str]) -> Tensor:
        """Logits (B, vocabulary) of the answers' first tokens, in fp32."""
        turns = [
            [
                {
                    "role": "user",
                    "content": [{"type": "image", "image": picture}, {"type": "text", "text": question}],
                }
            ]
            for picture, question in zip(pictures, questions, strict=True)
        ]
        inputs = self.processor.apply_chat_template(
            turns,
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
        ).to(self.device)
        inputs["pixel_values"] = inputs["pixel_values"].to(self.network.dtype)
        logits: Tensor = self.network(**inputs, logits_to_keep=1).logits
        return logits[:, -1].float()


class JudgeMetric(Metric):
    """A metric of what a judge answers, a score from 0 to 1.

    card: whose weights it takes. question: as the judge is asked. says: what the score is, before the judge's name.
    """

    name: ClassVar[str]
    card: ClassVar[str]
    question: ClassVar[str]
    says: ClassVar[str]
    parts: ClassVar[tuple[str, ...]] = ()
    four_bit: ClassVar = False

    def __init__(self, judge: Judge, weights: str) -> None:
        self.judge, self._weights = judge, weights

    @classmethod
    def load(cls, weights: str, device: str | torch.device, dtype: Precision) -> Self:
        return cls(Judge(folders(cls.card, weights)["judge"], device, dtype, cls.four_bit), shown(weights))

    @property
    def info(self) -> MetricInfo:
        how = f", {self.judge.precision}" if self.judge.precision else ""
        return MetricInfo(
            name=self.name,
            version=f"{self.says}{self.judge.name}{how}",
            weights=self._weights,
            family=self.judge.name,
            low=0.0,
            high=1.0,
            tie=1e-4,
            parts=self.parts,
        )

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"metric": self.name, "version": 1, "question": self.question, **self.judge.identity}


def _rounded(folder: Path, device: torch.device, dtype: torch.dtype) -> Any:
    """The network with the weights of its linear layers in 4 bits."""
    from transformers import AutoModelForImageTextToText, BitsAndBytesConfig

    if importlib.util.find_spec("bitsandbytes") is None:
        raise BadValue(
            "4 bits need the package bitsandbytes, which is not installed; get it by `pip install 'noisekit[4bit]'`, or "
            "take the metric without _4bit"
        )
    how = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    try:
        network = AutoModelForImageTextToText.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            quantization_config=how,
            device_map={"": device},
            dtype=dtype,
        )
    except DAMAGE as error:
        raise damaged(folder / "model.safetensors", error) from error
    return network.eval().requires_grad_(False)


def _parts(count: int) -> Iterator[range]:
    for start in range(0, count, BATCH):
        yield range(start, min(start + BATCH, count))
