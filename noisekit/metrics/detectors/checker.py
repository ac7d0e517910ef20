"""The checker of the tiny world as a detector: the benchmarks' rules where the truth is known.

The checker gives a thing's colour, shape, area and centre of mass; its box is that of the shape drawn with them,

    circle  ± r    square  ± 0.88 r    triangle  ± 1.052 r across, −1.05 r … 0.93 r down    r = √(area / area of r = 1)

It sees or does not see: a score is 1, half as much where no shape fits, and such a thing has no class that rules ask for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL.Image import Image

from noisekit.errors import BadValue
from noisekit.metrics.detectors.detection import Box, Detection
from noisekit.world import read
from noisekit.world.check import AREA, CENTRE, Detected
from noisekit.world.render import SIZE

#: Of a shape of radius 1 around its origin: how far it reaches to the left and right, up and down.
REACH = {
    "circle": (1.0, 1.0, 1.0),
    "square": (0.88, 0.88, 0.88),
    "triangle": (1.98 * 0.469 / 0.883, 1.05, 0.93),
}


class Checker:
    """What the checker reads in a picture of the tiny world, a square of a multiple of 32 pixels; nothing in any other."""

    name = "checker"
    identity: dict[str, Any] = {"detector": "checker", "version": 1}

    def __call__(
        self, pictures: Sequence[Image], labels: Sequence[Sequence[str]] = ()
    ) -> list[list[Detection]]:
        return [self._found(picture) for picture in pictures]

    def _found(self, picture: Image) -> list[Detection]:
        try:
            reading = read(np.asarray(picture, np.float32).transpose(2, 0, 1) / 255)
        except BadValue:
            return []
        return [detection(one, picture.width / SIZE) for one in reading.objects]


def detection(found: Detected, scale: float = 1.0) -> Detection:
    """A thing that the checker found, in pixels of an image `scale` times as large as its own."""
    shape = found.shape or "circle"
    radius = (found.area / AREA[shape]) ** 0.5
    across, up, down = (radius * part for part in REACH[shape])
    y = found.y - CENTRE[shape] * radius
    box = Box(*(scale * side for side in (found.x - across, y - up, found.x + across, y + down)))
    return Detection(found.shape or "", 1.0 if found.shape else 0.5, box, colour=found.colour)


def colours(objects: Sequence[Detection], label: str) -> list[str]:
    """The colours as the checker saw them."""
    return [one.colour or "" for one in objects]
