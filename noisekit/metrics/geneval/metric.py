"""geneval: whether an image shows the objects, numbers, colours and places that its record asks for, by a detector."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from PIL.Image import Image
from torch import Tensor

from noisekit.metrics.base import Metric
from noisekit.metrics.detectors.checker import Checker, colours
from noisekit.metrics.detectors.detection import Detection, Detector
from noisekit.metrics.detectors.mask2former import Mask2Former
from noisekit.metrics.geneval import captions
from noisekit.metrics.geneval.colours import ColourNamer
from noisekit.metrics.geneval.rules import COUNTING, LEAST, MARGIN, MOST, Record, verdict
from noisekit.metrics.info import MetricInfo
from noisekit.metrics.weights import folders, shown
from noisekit.prompts import Prompt
from noisekit.rewards import Precision
from noisekit.rewards.preprocess import to_pillow

#: From a picture and objects of one class in it to the names of their colours.
NamePictured = Callable[[Image, Sequence[Detection], str], Sequence[str]]


class GenEval(Metric):
    """The rules of GenEval on what a detector of transformers finds, which is not the official one.

    Its weights are those of a Mask2Former of COCO's classes, "detector", and of a CLIP, "colours"; both run in fp32. With
    the tiny ones the checker of the tiny world takes their place, and captions of that world are the records.
    """

    name: ClassVar = "geneval"
    reads_record = True

    def __init__(
        self,
        detector: Detector,
        name_colours: NamePictured,
        record_of: Callable[[Prompt], Record | None],
        weights: str,
        colourist: Mapping[str, Any],
        family: str,
    ) -> None:
        """record_of: what a prompt asks for. colourist: what decides the colours."""
        self.detector, self.name_colours, self.record_of = detector, name_colours, record_of
        self._weights, self._colourist, self._family = weights, dict(colourist), family

    @classmethod
    def load(cls, weights: str, device: str | torch.device, dtype: Precision) -> Self:
        if weights == "tiny":
            checker = Checker()
            return cls(
                checker,
                lambda _, objects, label: colours(objects, label),
                lambda prompt: captions.record(prompt.text),
                weights,
                {"colours": "checker"},
                checker.name,
            )
        found = folders(cls.name, weights)
        detector, namer = Mask2Former(found["detector"], device), ColourNamer(found["colours"], device)
        return cls(
            detector, namer, _record, shown(weights), namer.identity, f"{detector.name} and {namer.name}"
        )

    @classmethod
    def applies(cls, prompt: Prompt) -> bool:
        return "include" in prompt.metadata or captions.record(prompt.text) is not None

    @property
    def info(self) -> MetricInfo:
        return MetricInfo(
            name=self.name,
            version=f"GenEval's rules on {self.detector.name}, scores over {LEAST:g}, {COUNTING:g} in counting",
            weights="none" if self._weights == "tiny" else self._weights,
            family=self._family,
            low=0.0,
            high=1.0,
            tie=0.0,
        )

    @property
    def identity(self) -> Mapping[str, Any]:
        rules = {"least": LEAST, "counting": COUNTING, "most": MOST, "margin": MARGIN, "version": 1}
        return {"metric": self.name, "rules": rules, "detector": self.detector.identity, **self._colourist}

    def score(self, images: Tensor, prompts: Sequence[Prompt]) -> Tensor:
        records = {i: record for i, prompt in enumerate(prompts) if (record := self.record_of(prompt))}
        pictures = to_pillow(images[list(records)])
        labels = [[wanted.label for wanted in record.include] for record in records.values()]
        result = torch.full((len(prompts), 1), math.nan)
        for i, picture, found in zip(records, pictures, self.detector(pictures, labels), strict=True):
            result[i] = float(self._correct(picture, found, records[i]))
        return result

    def _correct(self, picture: Image, found: Sequence[Detection], record: Record) -> bool:
        return verdict(
            found, record, lambda objects, label: self.name_colours(picture, objects, label)
        ).correct


def _record(prompt: Prompt) -> Record | None:
    return Record.read(prompt.metadata) if "include" in prompt.metadata else None
