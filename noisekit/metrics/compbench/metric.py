"""compbench: T2I-CompBench's score of a prompt's category, and blip_vqa: that of its attributes for any prompt.

    color, shape, texture    attribute: Π p("PHRASE?") over noun phrases, by BLIP
    spatial                  spatial: by what a detector finds
    non_spatial              action: cos(E_image(x), E_text(c)) of CLIP ViT-B/32
    complex                  (attribute + spatial) / 2, (action + attribute) / 2 or the mean of all three

A complex prompt is of the first kind where it names a relation and of the second where it does not, unless its record says
"spatial", "action" or "spatialaction" under "complex", as the benchmark's own lists do; its action reads no adjectives.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import torch
from PIL.Image import Image
from torch import Tensor

from noisekit.errors import BadValue
from noisekit.metrics.base import Metric
from noisekit.metrics.compbench.blip import BlipVQA, product
from noisekit.metrics.compbench.parser import Parser, default_parser, phrases, relation
from noisekit.metrics.compbench.spatial import Relation, score
from noisekit.metrics.detectors.checker import Checker
from noisekit.metrics.detectors.detection import Detector
from noisekit.metrics.detectors.owlv2 import OWLv2
from noisekit.metrics.info import MetricInfo
from noisekit.metrics.weights import folders, shown
from noisekit.prompts import Prompt
from noisekit.registry import printed
from noisekit.rewards import Precision, Reward
from noisekit.rewards.clip_score import CLIPScore
from noisekit.rewards.preprocess import to_pillow
from noisekit.world import parse

ATTRIBUTES = ("color", "shape", "texture")
CATEGORIES = (*ATTRIBUTES, "spatial", "non_spatial", "complex")
#: Which scores the mean of a complex prompt is of, by the benchmark's list that it stands in.
COMPLEX = {
    "spatial": ("attribute", "spatial"),
    "action": ("action", "attribute"),
    "spatialaction": ("attribute", "spatial", "action"),
}
#: The tiny world's relations in the benchmark's words.
PLACES = {"left": "left", "right": "right", "above": "top", "below": "bottom"}

#: Scores of images by their place in the batch.
Scores = dict[int, float]


class Judges(NamedTuple):
    """The networks of a scorer; without `vqa` and `clip` it says nothing of attributes and actions."""

    detector: Detector
    vqa: BlipVQA | None = None
    clip: Reward | None = None


class CompBench(Metric):
    """The rules of T2I-CompBench on networks of transformers; the detector is not the official one, and finds any name.

    Its weights are those of a BLIP for questions, "vqa", of an OWLv2, "detector", and of a "clip". With the tiny ones the
    checker of the tiny world takes the detector's place, for captions of that world that name a relation.
    """

    name: ClassVar = "compbench"
    reads_record = True

    def __init__(self, judges: Judges, weights: str, parser: Parser | None = None) -> None:
        self.judges, self.parser, self._weights = judges, parser or default_parser(), weights

    @classmethod
    def load(cls, weights: str, device: str | torch.device, dtype: Precision) -> Self:
        if weights == "tiny":
            return cls(Judges(Checker()), weights)
        found = folders(cls.name, weights)
        vqa = BlipVQA(found["vqa"], device, getattr(torch, dtype))
        clip = CLIPScore(found["clip"], shown(weights), device, convention="raw", dtype=dtype)
        return cls(Judges(OWLv2(found["detector"], device), vqa, clip), shown(weights))

    @classmethod
    def applies(cls, prompt: Prompt) -> bool:
        return prompt.metadata.get("category") in CATEGORIES or _stands(prompt.text) is not None

    @property
    def info(self) -> MetricInfo:
        detector, vqa, clip = self.judges
        where = f"T2I-CompBench's rules, spatial ({detector.name})"
        return MetricInfo(
            name=self.name,
            version=f"{where}, {self.parser.name}" if vqa else where,
            weights=self._weights if vqa else "none",
            family=" and ".join(
                [detector.name, *([vqa.name] if vqa else []), *([clip.family] if clip else [])]
            ),
            low=-1.0 if clip else 0.0,
            high=1.0,
            tie=1e-4,
            parts=("attribute", "spatial", "action"),
        )

    @property
    def identity(self) -> Mapping[str, Any]:
        detector, vqa, clip = self.judges
        return {
            "metric": self.name,
            "version": 1,
            "parser": self.parser.name,
            "detector": detector.identity,
            "vqa": vqa.identity if vqa else None,
            "clip": clip.identity if clip else None,
        }

    def score(self, images: Tensor, prompts: Sequence[Prompt]) -> Tensor:
        wanted = [self._wanted(prompt) for prompt in prompts]
        pictures = to_pillow(images)
        attribute, spatial, action = (
            [i for i, names in enumerate(wanted) if part in names] for part in self.info.parts
        )
        columns = {
            "attribute": self._attributes(pictures, prompts, attribute),
            "spatial": self._places(pictures, prompts, spatial),
            "action": self._actions(images, prompts, action),
        }
        rows = []
        for i, names in enumerate(wanted):
            parts = [columns[name].get(i, math.nan) for name in self.info.parts]
            own = [columns[name].get(i, math.nan) for name in names]
            rows.append([sum(own) / len(own) if own else math.nan, *parts])
        return torch.tensor(rows)

    def _wanted(self, prompt: Prompt) -> tuple[str, ...]:
        """The scores that a prompt's own is the mean of."""
        category = prompt.metadata.get("category")
        if self.judges.vqa is None:
            return ("spatial",) if _stands(prompt.text) else ()
        if category in ATTRIBUTES:
            return ("attribute",)
        if category != "complex":
            return {"spatial": ("spatial",), "non_spatial": ("action",)}.get(str(category), ())
        given = prompt.metadata.get("complex") or ("spatial" if relation(prompt.text) else "action")
        if given not in COMPLEX:
            raise BadValue(
                f"prompt {prompt.text!r} is complex by {printed(given)}; its record may say {', '.join(COMPLEX)}"
            )
        return COMPLEX[given]

    def _attributes(self, pictures: Sequence[Image], prompts: Sequence[Prompt], own: list[int]) -> Scores:
        if self.judges.vqa is None or not own:
            return {}
        texts = [prompts[i].text for i in own]
        values = attributes(self.judges.vqa, self.parser, [pictures[i] for i in own], texts)
        return dict(zip(own, values, strict=True))

    def _places(self, pictures: Sequence[Image], prompts: Sequence[Prompt], own: list[int]) -> Scores:
        read = _stands if self.judges.vqa is None else relation
        asked = {i: said for i in own if (said := read(prompts[i].text))}
        labels = [[said.subject, said.target] for said in asked.values()]
        found = self.judges.detector([pictures[i] for i in asked], labels)
        scores = dict.fromkeys(own, 0.0)  # a prompt without a relation has no objects, and gets none
        for (i, said), objects in zip(asked.items(), found, strict=True):
            scores[i] = score(objects, said, pictures[i].size)
        return scores

    def _actions(self, images: Tensor, prompts: Sequence[Prompt], own: list[int]) -> Scores:
        if self.judges.clip is None or not own:
            return {}
        plain = [prompts[i].metadata.get("category") != "complex" for i in own]
        texts = [
            prompts[i].text if whole else self.parser.without_adjectives(prompts[i].text)
            for i, whole in zip(own, plain, strict=True)
        ]
        return dict(zip(own, self.judges.clip.judge(images[own], texts).tolist(), strict=True))


class Attributes(Metric):
    """T2I-CompBench's score of attributes, by BLIP's answers, for any prompt; 1 where it names nothing."""

    name: ClassVar = "blip_vqa"

    def __init__(self, vqa: BlipVQA, weights: str, parser: Parser | None = None) -> None:
        self.vqa, self.parser, self._weights = vqa, parser or default_parser(), weights

    @classmethod
    def load(cls, weights: str, device: str | torch.device, dtype: Precision) -> Self:
        return cls(BlipVQA(folders(cls.name, weights)["vqa"], device, getattr(torch, dtype)), shown(weights))

    @property
    def info(self) -> MetricInfo:
        return MetricInfo(
            name=self.name,
            version=f"product over noun phrases, {self.parser.name}",
            weights=self._weights,
            family=self.vqa.name,
            low=0.0,
            high=1.0,
            tie=1e-4,
        )

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"metric": self.name, "version": 1, "parser": self.parser.name, "vqa": self.vqa.identity}

    def score(self, images: Tensor, prompts: Sequence[Prompt]) -> Tensor:
        texts = [prompt.text for prompt in prompts]
        return torch.tensor(attributes(self.vqa, self.parser, to_pillow(images), texts))[:, None]


def attributes(
    vqa: BlipVQA, parser: Parser, pictures: Sequence[Image], prompts: Sequence[str]
) -> list[float]:
    """The product of the answers to all questions of each prompt."""
    questions = [[f"{phrase}?" for phrase in phrases(parser, prompt)] for prompt in prompts]
    return [product(answers) for answers in vqa.yes(pictures, questions)]


def _stands(caption: str) -> Relation | None:
    """What a caption of the tiny world says, its shapes for names; None without a relation, or where both have one shape."""
    try:
        scene = parse(caption)
    except BadValue:
        return None
    if scene.relation is None:
        return None
    (_, subject), (_, target) = scene.objects
    return Relation(subject, PLACES[scene.relation], target) if subject != target else None
