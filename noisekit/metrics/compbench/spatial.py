"""T2I-CompBench's score of a spatial relation between two objects, from what a detector found.

    s = ¼ s_A + ¼ s_B + ½ g        both found, s_A and s_B the scores of the best detections of their names
    s = ¼ s_A                      one found                                 0 where s < ½, or where none was found

g is 0 … 1 by the relation, from d = centre(B) − centre(A) and the boxes' overlap IoU:

    A left of B     d_x > 0, |d_x| > |d_y|:  1 where IoU < 0.1, else 0.1 / IoU        right, top, bottom: likewise
    A next to B     1 where |d_x| < 150 or |d_y| < 150, else 150 / max(|d_x|, |d_y|)     in pixels of a picture of 480

"on top of" has no rule of its own in the published scorer and gives 0. Huang, Sun, Xie, Li, Liu 2023, arXiv 2307.06350.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from noisekit.metrics.detectors.detection import Box, Detection, best, iou

#: Pixels of the longer side of the picture that boxes are measured in.
SIDE = 480
#: How far apart things may be that are next to each other.
NEAR = 150.0
#: How much boxes may overlap that are beside each other.
OVERLAP = 0.1
#: A score below which there is none.
LEAST = 0.5

#: What a prompt may say, in the order in which it is looked for, and what it means.
PHRASES = {
    "on side of": "near",
    "next to": "near",
    "near": "near",
    "on the left of": "left",
    "on the right of": "right",
    "on the bottom of": "bottom",
    "on the top of": "top",
    "on top of": "",
}


class Relation(NamedTuple):
    """What a prompt says: one object stands to another; the relation is one of near, left, right, bottom, top, or ""."""

    subject: str
    relation: str
    target: str


def score(found: Sequence[Detection], asked: Relation, size: tuple[int, int]) -> float:
    """The score of a relation, 0 … 1. size: width and height of the picture that was searched."""
    ones, others = (best(found, label, most=1) for label in (asked.subject, asked.target))
    if not ones and not others:
        return 0.0
    if ones and others:
        scale = SIDE / max(size)
        one, other = (Box(*(scale * side for side in each.box)) for each in (ones[0], others[0]))
        total = (ones[0].score + others[0].score) / 4 + geometry(one, other, asked.relation) / 2
    else:
        total = (ones or others)[0].score / 4
    return total if total >= LEAST else 0.0


def geometry(one: Box, other: Box, relation: str) -> float:
    """How well two boxes stand in a relation, 0 … 1."""
    x, y = (b - a for a, b in zip(one.centre, other.centre, strict=True))
    if relation == "near":
        if abs(x) < NEAR or abs(y) < NEAR:
            return 1.0
        return NEAR / max(abs(x), abs(y))
    along, across = (x, y) if relation in ("left", "right") else (y, x)
    if relation in ("right", "bottom"):
        along = -along
    if not relation or along <= 0 or along <= abs(across):
        return 0.0
    shared = iou(one, other)
    return 1.0 if shared < OVERLAP else OVERLAP / shared
