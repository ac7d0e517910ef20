"""The captions of the tiny world in GenEval's terms, so that its rules run where the truth is known."""

from __future__ import annotations

from noisekit.errors import BadValue
from noisekit.metrics.geneval.rules import Record, Wanted
from noisekit.world import parse

PLACES = {"left": "left of", "right": "right of", "above": "above", "below": "below"}


def record(caption: str) -> Record | None:
    """What a caption asks for in GenEval's terms; None where it is no caption, or where two of its things have one shape.

    The rules look at the best detections of a class, and of "a red circle and a blue circle" cannot say which is which.
    """
    try:
        scene = parse(caption)
    except BadValue:
        return None
    if scene.kind == "count":
        (colour, shape), count = scene.objects[0], len(scene.objects)
        return Record("counting", (Wanted(shape, count, colour),), (Wanted(shape, count + 1),))
    if len({shape for _, shape in scene.objects}) < len(scene.objects):
        return None
    things = [Wanted(shape, 1, colour) for colour, shape in scene.objects]
    if scene.relation is None:
        return Record("colors" if len(things) == 1 else "color_attr", tuple(things))
    (colour, shape), (_, _) = scene.objects
    # The one that is referred to stands first.
    return Record("position", (things[1], Wanted(shape, 1, colour, (PLACES[scene.relation], 0))))
