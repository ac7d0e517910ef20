"""Things on a turntable: an image of one decides what the others show. Drawn in three dimensions, on white.

A thing is one or two parts that stand on the plate: a box, a cylinder, a cone or a ball, each with a colour in every quarter
around its own axis. Counter-clockwise, seen from above, the next quarter has the next colour of `COLOURS`: so the side
that a picture shows tells what the side that it hides looks like. Tops are gray.

The camera stands at ELEVATION, far away (parallel rays), at azimuth α, the thing turning clockwise before it. Of n
views of a whole turn, view v is at α = v·360°/n; view 0 is the one that a model is given. A pixel is the mean of FINE
× FINE rays, each

    o(s, t) − λ·d        d = (cos e cos α, cos e sin α, sin e)
                         o = s·(−sin α, cos α, 0) + t·(−sin e cos α, −sin e sin α, cos e)

and ends on the nearest part that it meets.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from noisekit.world.grammar import COLOURS
from noisekit.world.render import COLOUR_RGB, SIZE

FORMS = ("box", "cylinder", "cone", "ball")
#: Of the camera above the plate, in degrees.
ELEVATION = 25.0
#: Rays across a pixel.
FINE = 2
#: Half the width of what a picture shows, in the units of a part's sizes.
REACH = 0.95
_TOP = np.array([0.72, 0.72, 0.72], np.float32)


@dataclass(frozen=True)
class Part:
    """form: one of FORMS. colour: of its first quarter, a number in COLOURS, which `yaw` turns to (radians).

    place: (x, y) of its axis. radius: half its width. height: of all but balls, which are as high as wide.
    """

    form: str
    colour: int
    place: tuple[float, float]
    radius: float
    height: float
    yaw: float


@dataclass(frozen=True)
class Thing:
    """One or two parts."""

    parts: tuple[Part, ...]

    @property
    def name(self) -> str:
        """In words, the colours being those of the first quarters: "a red box and a blue ball"."""
        return " and ".join(f"a {COLOURS[part.colour]} {part.form}" for part in self.parts)


def sample_thing(rng: np.random.Generator) -> Thing:
    """A thing, single or double, at a random turn of the plate."""
    if rng.random() < 0.4:
        return Thing((_part(rng, (0.0, 0.0), rng.uniform(0.42, 0.6), rng.uniform(0.8, 1.2)),))
    turn, apart = rng.uniform(0, 2 * np.pi), rng.uniform(0.36, 0.42)
    places = [(apart * np.cos(a), apart * np.sin(a)) for a in (turn, turn + np.pi)]
    return Thing(tuple(_part(rng, place, rng.uniform(0.26, 0.35), rng.uniform(0.5, 1.0)) for place in places))


def _part(rng: np.random.Generator, place: tuple[float, float], radius: float, height: float) -> Part:
    form, colour = FORMS[rng.integers(len(FORMS))], int(rng.integers(len(COLOURS)))
    return Part(form, colour, place, radius, height, rng.uniform(0, 2 * np.pi))


def turn(thing: Thing, views: int) -> np.ndarray:
    """Pictures of a whole turn: (views, 3, 32, 32), float32 in [0, 1], the first from azimuth 0."""
    azimuths = 2 * np.pi * np.arange(views) / views
    origins, directions, light = _rays(views)
    nearest = np.full(origins.shape[:2], np.inf, np.float32)
    colours = np.ones((*origins.shape[:2], 3), np.float32)
    for part in thing.parts:
        here = _turned(origins - np.array([*part.place, 0.0], np.float32), part.yaw)
        way = _turned(directions, part.yaw)
        distance, normal = _INTERSECTIONS[part.form](here, way, part)
        own = distance < nearest
        hit = here + np.where(own, distance, 0)[..., None] * way
        quarter = np.floor((np.arctan2(hit[..., 1], hit[..., 0]) + np.pi / 4) / (np.pi / 2)).astype(int) % 4
        paint = COLOUR_RGB[(part.colour + quarter) % len(COLOURS)]
        paint = np.where((normal[..., 2] > 0.999)[..., None] & (part.form != "ball"), _TOP, paint)
        shade = 0.65 + 0.35 * np.clip((normal * _turned(light, part.yaw)).sum(-1), 0, 1)
        colours = np.where(own[..., None], paint * shade[..., None], colours)
        nearest = np.where(own, distance, nearest)
    fine = colours.reshape(len(azimuths), SIZE, FINE, SIZE, FINE, 3)
    return np.ascontiguousarray(fine.mean((2, 4)).transpose(0, 3, 1, 2))


@cache
def _rays(views: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Origins (V, P, 3), directions (V, 1, 3) and where the light comes from (V, 1, 3), which turns with the camera."""
    azimuth, e = 2 * np.pi * np.arange(views)[:, None] / views, np.radians(ELEVATION)
    zero, one = np.zeros_like(azimuth), np.ones_like(azimuth)
    out = np.stack([np.cos(e) * np.cos(azimuth), np.cos(e) * np.sin(azimuth), np.sin(e) * one], -1)
    right = np.stack([-np.sin(azimuth), np.cos(azimuth), zero], -1)
    up = np.stack([-np.sin(e) * np.cos(azimuth), -np.sin(e) * np.sin(azimuth), np.cos(e) * one], -1)
    side = SIZE * FINE
    across = ((np.arange(side) + 0.5) / side * 2 - 1) * REACH
    t, s = (grid.reshape(1, -1, 1) for grid in np.meshgrid(-across, across, indexing="ij"))
    origins = s * right + t * up + 4 * out + np.array([0, 0, 0.42])
    light = 0.7 * out + 0.5 * up - 0.5 * right
    light = light / np.linalg.norm(light, axis=-1, keepdims=True)
    return origins.astype(np.float32), -out.astype(np.float32), light.astype(np.float32)


def _turned(vectors: np.ndarray, yaw: float) -> np.ndarray:
    """Vectors in the frame of a part that is turned by `yaw` about the vertical."""
    c, s = np.float32(np.cos(yaw)), np.float32(np.sin(yaw))
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    return np.stack([c * x + s * y, c * y - s * x, z], -1)


def _nearer(
    one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """The first of two meetings of each ray, as distance and normal."""
    first = one[0] <= other[0]
    return np.where(first, one[0], other[0]), np.where(first[..., None], one[1], other[1])


def _root(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """The smaller root of a·λ² + 2b·λ + c, infinite where there is none."""
    inside = b * b - a * c
    return np.where(inside > 0, (-b - np.sqrt(np.maximum(inside, 0))) / a, np.inf)


def _at(o: np.ndarray, d: np.ndarray, distance: np.ndarray) -> np.ndarray:
    return o + np.where(np.isfinite(distance), distance, 0)[..., None] * d


def _top(o: np.ndarray, d: np.ndarray, height: float, inside: object) -> tuple[np.ndarray, np.ndarray]:
    """The meeting with a level lid; inside(x, y) says where there is one."""
    distance = (height - o[..., 2]) / d[..., 2]
    hit = _at(o, d, distance)
    there = inside(hit[..., 0], hit[..., 1])  # type: ignore[operator]
    normal = np.broadcast_to(np.array([0, 0, 1], np.float32), hit.shape)
    return np.where(there, distance, np.inf), normal


def _ball(o: np.ndarray, d: np.ndarray, part: Part) -> tuple[np.ndarray, np.ndarray]:
    middle = o - np.array([0, 0, part.radius], np.float32)
    b, c = (middle * d).sum(-1), (middle * middle).sum(-1) - part.radius**2
    distance = _root(np.ones_like(b), b, c)
    return distance, _at(middle, d, distance) / part.radius


def _cylinder(o: np.ndarray, d: np.ndarray, part: Part) -> tuple[np.ndarray, np.ndarray]:
    flat, way = o[..., :2], d[..., :2]
    distance = _root((way * way).sum(-1), (flat * way).sum(-1), (flat * flat).sum(-1) - part.radius**2)
    hit = _at(o, d, distance)
    distance = np.where((hit[..., 2] >= 0) & (hit[..., 2] <= part.height), distance, np.inf)
    normal = hit * np.array([1, 1, 0], np.float32) / part.radius
    return _nearer((distance, normal), _top(o, d, part.height, lambda x, y: np.hypot(x, y) <= part.radius))


def _cone(o: np.ndarray, d: np.ndarray, part: Part) -> tuple[np.ndarray, np.ndarray]:
    slope = part.radius / part.height
    down = np.array([1, 1, -(slope**2)], np.float32)
    tip = o - np.array([0, 0, part.height], np.float32)
    distance = _root((d * d * down).sum(-1), (tip * d * down).sum(-1), (tip * tip * down).sum(-1))
    hit = _at(tip, d, distance)
    distance = np.where((hit[..., 2] <= 0) & (hit[..., 2] >= -part.height), distance, np.inf)
    normal = hit * down
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    return distance, normal / np.maximum(length, 1e-9)


def _box(o: np.ndarray, d: np.ndarray, part: Part) -> tuple[np.ndarray, np.ndarray]:
    walls = []
    for axis in (0, 1):
        sign = np.where(d[..., axis] > 0, -1.0, 1.0).astype(np.float32)
        safe = np.where(np.abs(d[..., axis]) < 1e-6, 1e-6, d[..., axis])
        distance = (sign * part.radius - o[..., axis]) / safe
        hit = _at(o, d, distance)
        there = (
            (np.abs(hit[..., 1 - axis]) <= part.radius) & (hit[..., 2] >= 0) & (hit[..., 2] <= part.height)
        )
        normal = np.zeros_like(hit)
        normal[..., axis] = sign
        walls.append((np.where(there, distance, np.inf), normal))
    lid = _top(o, d, part.height, lambda x, y: np.maximum(np.abs(x), np.abs(y)) <= part.radius)
    return _nearer(_nearer(*walls), lid)


_INTERSECTIONS = {"box": _box, "cylinder": _cylinder, "cone": _cone, "ball": _ball}


#: How many things `suite` gives.
THINGS = 100


@cache
def suite() -> tuple[Thing, ...]:
    """The things that models are judged on, each of another name."""
    rng, drawn = np.random.default_rng([0, 13]), dict[str, Thing]()
    while len(drawn) < THINGS:
        thing = sample_thing(rng)
        drawn.setdefault(thing.name, thing)
    return tuple(drawn.values())
