"""GenEval: whether an image shows the objects, numbers, colours and places that its prompt names, by a detector. 1 or 0.

    found(class)   = the 16 best detections of the class with a score above .3, in counting above .9
    an object      is there where found has `count` of the class; those `count` best are judged on
      its colour     where at least `count` of them are named the asked colour
      its place      where each stands in the asked relation to each of the object that it refers to
    geneval        = 1 where all objects that are asked for are right and none that is excluded is found `count` times

Of boxes with centres c and sides s, o = c_A − c_B, A stands to B, along an axis,

    r = sign(o) · max(|o| − 0.1 (s_A + s_B), 0)      d = r / ‖o‖      left of: d_x < −½   right of: d_x > ½
                                                                        above: d_y < −½      below: d_y > ½

A task's score is the mean over its images, the overall score the mean of the six tasks' and so not that of the images.
Ghosh, Hajishirzi, Schmidt 2023, "GenEval", arXiv 2310.11513: four images a prompt, a Mask2Former and CLIP ViT-L/14.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from noisekit.errors import BadValue
from noisekit.metrics.detectors.detection import Box, Detection, best
from noisekit.registry import printed

#: Scores that a detection has to exceed, in counting and elsewhere.
COUNTING, LEAST = 0.9, 0.3
#: Detections of a class that are looked at.
MOST = 16
#: Of the sum of two boxes' sides: how far apart centres may be without standing in any relation.
MARGIN = 0.1
#: What takes part in a comparison of colours.
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white")
RELATIONS = ("left of", "right of", "above", "below")
#: The tasks, by their tags in the suite.
TASKS = ("single_object", "two_object", "counting", "colors", "position", "color_attr")

#: From objects of one class to the names of their colours.
NameColours = Callable[[Sequence[Detection], str], Sequence[str]]


@dataclass(frozen=True)
class Wanted:
    """An object that a prompt asks for. position: how it stands to an object that was named before, by its place."""

    label: str
    count: int
    colour: str | None = None
    position: tuple[str, int] | None = None


@dataclass(frozen=True)
class Record:
    """What a prompt of the suite asks for: a line of its metadata."""

    tag: str
    include: tuple[Wanted, ...]
    exclude: tuple[Wanted, ...] = ()

    @classmethod
    def read(cls, metadata: Mapping[str, Any]) -> Self:
        """From the fields `tag`, `include` and `exclude` of the suite; raises `BadValue` on anything else."""
        try:
            lists = [[_wanted(entry) for entry in metadata.get(key, ())] for key in ("include", "exclude")]
            record = cls(str(metadata["tag"]), *map(tuple, lists))
            for place, wanted in enumerate(record.include):
                if wanted.position is not None and wanted.position[1] not in range(place):
                    raise ValueError
            if not record.include:
                raise ValueError
        except (KeyError, TypeError, ValueError, AttributeError):
            raise BadValue(
                f"{printed(dict(metadata))} is no record of GenEval: it wants 'tag' and 'include', a list of objects with "
                "'class', 'count' and perhaps 'color' and 'position', such as [\"left of\", 0]"
            ) from None
        return record


class Verdict(NamedTuple):
    """Whether an image is right, and what is wrong with it."""

    correct: bool
    reasons: tuple[str, ...] = ()


def verdict(found: Iterable[Detection], record: Record, colours_of: NameColours) -> Verdict:
    """The verdict on what a detector found in an image. colours_of: names the colours of objects of a class."""
    least = COUNTING if record.tag == "counting" else LEAST
    found, reasons = list(found), list[str]()
    right: list[list[Detection] | None] = []
    for wanted in record.include:
        chosen = best(found, wanted.label, least, MOST)[: wanted.count]
        reason = _missing(chosen, wanted, colours_of) or _misplaced(chosen, wanted, right)
        right.append(None if reason else chosen)
        reasons += [reason] if reason else []
    for excluded in record.exclude:
        there = len(best(found, excluded.label, least, MOST))
        if there >= excluded.count:
            reasons.append(f"fewer than {excluded.count} {excluded.label} wanted, {there} found")
    return Verdict(not reasons, tuple(reasons))


def relations(one: Box, other: Box) -> set[str]:
    """How one box stands to another: none, one or two of `RELATIONS`."""
    offset = [a - b for a, b in zip(one.centre, other.centre, strict=True)]
    reach = [MARGIN * (a + b) for a, b in zip(one.sides, other.sides, strict=True)]
    reduced = [math.copysign(max(abs(o) - within, 0.0), o) for o, within in zip(offset, reach, strict=True)]
    if all(abs(part) < 1e-3 for part in reduced):
        return set()
    x, y = (part / math.hypot(*offset) for part in reduced)
    stands = {"left of": x < -0.5, "right of": x > 0.5, "above": y < -0.5, "below": y > 0.5}
    return {relation for relation, holds in stands.items() if holds}


class Summary(NamedTuple):
    """Shares of right images. tasks: by tag; overall: the mean of the tasks; prompts: with any right image."""

    images: float
    prompts: float
    tasks: Mapping[str, float]
    overall: float


def summary(results: Iterable[tuple[str, str, float]]) -> Summary:
    """From (tag, prompt, 1 or 0) of images; images without a verdict, NaN, are left out."""
    kept = [result for result in results if not math.isnan(result[2])]
    if not kept:
        raise BadValue("no image has a verdict of GenEval; score images of the suite 'geneval' by it first")
    by_tag: dict[str, list[float]] = {}
    by_prompt: dict[str, float] = {}
    for tag, prompt, correct in kept:
        by_tag.setdefault(tag, []).append(correct)
        by_prompt[prompt] = max(by_prompt.get(prompt, 0.0), correct)
    known = [tag for tag in TASKS if tag in by_tag]
    tasks = {tag: _mean(by_tag[tag]) for tag in [*known, *(tag for tag in by_tag if tag not in known)]}
    return Summary(
        _mean([correct for _, _, correct in kept]), _mean(by_prompt.values()), tasks, _mean(tasks.values())
    )


def _wanted(entry: Mapping[str, Any]) -> Wanted:
    label, count, colour, position = entry["class"], entry["count"], entry.get("color"), entry.get("position")
    if not isinstance(label, str) or not isinstance(count, int) or count < 1:
        raise ValueError
    if position is None:
        return Wanted(label, count, colour)
    relation, place = position
    if relation not in RELATIONS:
        raise ValueError
    return Wanted(label, count, colour, (relation, int(place)))


def _missing(chosen: Sequence[Detection], wanted: Wanted, colours_of: NameColours) -> str:
    """What is wrong with an object by itself, "" if nothing is."""
    if len(chosen) < wanted.count:
        return f"{wanted.count} {wanted.label} wanted, {len(chosen)} found"
    if wanted.colour is None:
        return ""
    named = list(colours_of(chosen, wanted.label))
    if named.count(wanted.colour) >= wanted.count:
        return ""
    return f"{wanted.count} {wanted.colour} {wanted.label} wanted, found {', '.join(named)}"


def _misplaced(chosen: Sequence[Detection], wanted: Wanted, right: Sequence[list[Detection] | None]) -> str:
    """What is wrong with an object's place, "" if nothing is. right: the objects named before, None where one failed."""
    if wanted.position is None:
        return ""
    relation, place = wanted.position
    others = right[place]
    if others is None:
        return f"nothing found that {wanted.label} could be {relation}"
    wrong = any(relation not in relations(one.box, other.box) for one in chosen for other in others)
    return f"{wanted.label} is not {relation} {others[0].label}" if wrong else ""


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)
