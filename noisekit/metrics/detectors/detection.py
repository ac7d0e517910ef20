"""What a detector says of an image, as the rules of benchmarks read it: labels, scores, boxes, masks.

centre(b) = ((x1 + x2) / 2, (y1 + y2) / 2)        IoU(a, b) = |a ∩ b| / |a ∪ b|        x to the right, y down, in pixels
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image


class Box(NamedTuple):
    """Two corners of a rectangle; the second lies outside by convention, so that sides are differences."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def centre(self) -> tuple[float, float]:
        return (self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2

    @property
    def sides(self) -> tuple[float, float]:
        return self.x2 - self.x1, self.y2 - self.y1

    @property
    def area(self) -> float:
        width, height = self.sides
        return max(width, 0.0) * max(height, 0.0)


@dataclass(frozen=True)
class Detection:
    """An object that was found. label: its class by the benchmark's name. score: 0 … 1. mask: (H, W), None without one.

    colour: where the detector itself knows it.
    """

    label: str
    score: float
    box: Box
    mask: NDArray[np.bool_] | None = None
    colour: str | None = None


class Detector(Protocol):
    """Finds objects in 8-bit pictures.

    name: as it stands beside the score. identity: everything that decides what is found.
    """

    name: str
    identity: dict[str, Any]

    def __call__(self, pictures: Sequence[Image], labels: Sequence[Sequence[str]]) -> list[list[Detection]]:
        """What is found in each picture; labels: what each is searched for, where a detector has no classes of its own."""
        ...


def best(
    found: Iterable[Detection], label: str, least: float = 0.0, most: int | None = None
) -> list[Detection]:
    """The detections of a class with a score above `least`, best first, `most` of them."""
    own = [one for one in found if one.label == label and one.score > least]
    return sorted(own, key=lambda one: -one.score)[:most]


def iou(one: Box, other: Box) -> float:
    """The area that two boxes share over the area that they cover together, 0 where neither has any."""
    shared = Box(
        max(one.x1, other.x1), max(one.y1, other.y1), min(one.x2, other.x2), min(one.y2, other.y2)
    ).area
    covered = one.area + other.area - shared
    return shared / covered if covered > 0 else 0.0
