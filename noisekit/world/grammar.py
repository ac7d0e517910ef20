"""Scenes in words: what a caption of the tiny world can say, and what it means.

caption  := things ["on a" background "background"]
things   := "a" thing                                              single
          | ("two" | "three") colour plural                        count
          | "a" thing "and a" thing                                pair
          | "a" thing relation "a" thing                           relation
          | "a" thing ", a" thing "and a" thing                    triple
thing    := colour shape
relation := "to the left of" | "to the right of" | "above" | "below"

The things of a pair, a relation or a triple all differ. ``parse(scene.caption) == scene`` holds for every
scene.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from noisekit.errors import BadValue

COLOURS = ("red", "green", "blue", "yellow", "purple", "cyan")
SHAPES = ("circle", "square", "triangle")
BACKGROUNDS = ("white", "gray", "black", "pink")
NUMBERS = {2: "two", 3: "three"}
RELATIONS = {"left": "to the left of", "right": "to the right of", "above": "above", "below": "below"}
OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}
KINDS = ("single", "count", "pair", "relation", "triple")

#: Things that no training caption mentions: one colour of each shape.
HELD_OUT = (("yellow", "circle"), ("purple", "square"), ("blue", "triangle"))

#: Every token of every caption, in a fixed order: the vocabulary of the tokenizers.
WORDS = (
    *("a", "and", ",", "on", "background", "to", "the", "left", "right", "of", "above", "below"),
    *NUMBERS.values(),
    *COLOURS,
    *SHAPES,
    *(shape + "s" for shape in SHAPES),
    *BACKGROUNDS,
)

Thing = tuple[str, str]

_EXAMPLE = "a red circle to the left of a blue square on a white background"
_THING = f"({'|'.join(COLOURS)}) ({'|'.join(SHAPES)})"
_PATTERNS = {
    "single": f"a {_THING}",
    "count": f"({'|'.join(NUMBERS.values())}) ({'|'.join(COLOURS)}) ({'|'.join(SHAPES)})s",
    "pair": f"a {_THING} and a {_THING}",
    "relation": f"a {_THING} ({'|'.join(RELATIONS.values())}) a {_THING}",
    "triple": f"a {_THING} , a {_THING} and a {_THING}",
}
_TAIL = re.compile(f"(.*?)(?: on a ({'|'.join(BACKGROUNDS)}) background)?$")


@dataclass(frozen=True)
class Scene:
    """What a caption asks for: things (colour, shape) in the order of the caption, and how they stand.

    ``relation`` says how the first thing stands to the second; ``background`` is None when the caption leaves
    it open.
    """

    kind: str
    objects: tuple[Thing, ...]
    relation: str | None = None
    background: str | None = None

    def __post_init__(self) -> None:
        expected = {"single": (1,), "count": tuple(NUMBERS), "pair": (2,), "relation": (2,), "triple": (3,)}
        if self.kind not in expected:
            raise BadValue(f"unknown kind {self.kind!r}: use one of {', '.join(KINDS)}")
        if len(self.objects) not in expected[self.kind]:
            raise BadValue(f"a scene of kind {self.kind!r} cannot have {len(self.objects)} objects")
        if any(colour not in COLOURS or shape not in SHAPES for colour, shape in self.objects):
            raise BadValue(f"unknown colour or shape in {self.objects}: use {COLOURS} and {SHAPES}")
        different = len(set(self.objects))
        if different != (1 if self.kind == "count" else len(self.objects)):
            raise BadValue(f"the objects of a scene of kind {self.kind!r} cannot be {self.objects}")
        if self.relation not in (RELATIONS if self.kind == "relation" else (None,)):
            raise BadValue(f"a scene of kind {self.kind!r} cannot have the relation {self.relation!r}")
        if self.background is not None and self.background not in BACKGROUNDS:
            raise BadValue(f"unknown background {self.background!r}: use one of {', '.join(BACKGROUNDS)}")

    @property
    def caption(self) -> str:
        """The scene in plain English."""
        names = [f"a {colour} {shape}" for colour, shape in self.objects]
        if self.kind == "count":
            colour, shape = self.objects[0]
            text = f"{NUMBERS[len(self.objects)]} {colour} {shape}s"
        elif self.kind == "relation":
            text = f"{names[0]} {RELATIONS[self.relation or '']} {names[1]}"
        elif len(names) == 1:
            text = names[0]
        else:
            text = f"{', '.join(names[:-1])} and {names[-1]}"
        return text if self.background is None else f"{text} on a {self.background} background"

    @property
    def unseen(self) -> bool:
        """Whether the scene has a thing that was held out of all training captions."""
        return any(thing in HELD_OUT for thing in self.objects)


def words(caption: str) -> list[str]:
    """The tokens of a caption: lower-case words and commas."""
    return re.findall(r"\w+|[^\w\s]", caption.lower())


def parse(caption: str) -> Scene:
    """The scene that a caption asks for; ValueError if it is not a sentence of this grammar."""
    text = " ".join(words(caption))
    things, background = _TAIL.fullmatch(text).groups()  # type: ignore[union-attr]
    for kind, pattern in _PATTERNS.items():
        match = re.fullmatch(pattern, things)
        if match is None:
            continue
        names: list[str] = list(match.groups())
        relation = None
        if kind == "relation":
            relation = next(key for key, phrase in RELATIONS.items() if phrase == names[2])
            del names[2]
        if kind == "count":
            number = next(n for n, word in NUMBERS.items() if word == names[0])
            names = names[1:] * number
        objects = tuple(zip(names[::2], names[1::2], strict=True))
        if kind != "count" and len(set(objects)) < len(objects):
            break
        return Scene(kind, objects, relation, background)
    shown = caption if len(caption) <= 80 else caption[:77] + "..."
    raise BadValue(f"the tiny world has no scene for {shown!r}: write, for example, {_EXAMPLE!r}")


def sample_scene(
    rng: np.random.Generator,
    kind: str | None = None,
    unseen: bool | None = False,
    weights: Sequence[float] = (0.12, 0.22, 0.16, 0.32, 0.18),
) -> Scene:
    """A random scene.

    kind: one of KINDS, or None to draw it with ``weights``. unseen: False leaves the held-out things out,
    True demands one, None does not care. The background is named in 35 % of the scenes.
    """
    kind = kind or KINDS[rng.choice(len(KINDS), p=np.asarray(weights) / np.sum(weights))]
    different = {"pair": 2, "relation": 2, "triple": 3}.get(kind, 1)
    while True:
        codes = rng.choice(len(COLOURS) * len(SHAPES), different, replace=False)
        objects = tuple((COLOURS[code // len(SHAPES)], SHAPES[code % len(SHAPES)]) for code in codes)
        if unseen is None or unseen == any(thing in HELD_OUT for thing in objects):
            break
    if kind == "count":
        objects *= int(rng.choice(list(NUMBERS)))
    relation = str(rng.choice(list(RELATIONS))) if kind == "relation" else None
    background = str(rng.choice(BACKGROUNDS)) if rng.random() < 0.35 else None
    return Scene(kind, objects, relation, background)


def near_misses(scene: Scene) -> list[str]:
    """All captions of this grammar that differ from the scene's in exactly one word."""
    sentence = words(scene.caption)
    families: list[tuple[str, ...]] = [COLOURS, SHAPES, tuple(s + "s" for s in SHAPES), BACKGROUNDS]
    families += [tuple(NUMBERS.values()), ("left", "right"), ("above", "below")]
    captions = []
    for place, word in enumerate(sentence):
        for other in next((family for family in families if word in family), ()):
            changed = " ".join([*sentence[:place], other, *sentence[place + 1 :]])
            try:
                candidate = parse(changed)
            except ValueError:  # the change made two things equal
                continue
            if candidate != scene:
                captions.append(candidate.caption)
    return captions
