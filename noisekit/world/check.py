"""The ground truth: reads the things in an image from its pixels, and holds them against what a scene asks for.

A pixel p near a thing of colour c on background b is p = b + a (c − b); the background is the median of the
image's border, and each pixel's colour and opacity a are those of the nearest such line. What is connected,
of one colour, and at least half as opaque as its peak is one thing. Its shape is found by drawing: each shape
is rendered with the thing's area and centre of mass, and the one with the largest overlap of opacities,
Σ min(m, m̂) / Σ max(m, m̂), wins, if that is enough and clearly more than the next.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from noisekit.errors import BadValue
from noisekit.world.grammar import BACKGROUNDS, COLOURS, SHAPES, Scene
from noisekit.world.render import BACKGROUND_RGB, COLOUR_RGB, SIZE, distance

FAINT = 0.25  # opacity below which there is nothing
DISTANCE = 0.15  # nor where the colour is nearer than this to the background's
SMALLEST = 10  # pixels of a thing
OVERLAP = 0.72  # with the shape that fits best
MARGIN = 0.035  # of that overlap over the next shape's: between two shapes is neither
AREA = {"circle": np.pi, "square": 1.76**2, "triangle": 1.98**2 * 0.469 / 0.883}  # of a shape of radius 1
CENTRE = {"circle": 0.0, "square": 0.0, "triangle": 0.93 - 1.98 / 3}  # of mass, below, at radius 1

_GRID = np.arange(SIZE, dtype=np.float32) + 0.5


@dataclass(frozen=True)
class Detected:
    """A thing in an image: shape is None where none fits; x, y: centre of mass, in 32 pixels."""

    colour: str
    shape: str | None
    x: float
    y: float
    area: float
    opacity: float
    sharpness: float


@dataclass(frozen=True)
class Reading:
    """All that the checker sees; background is None where none is near, noise its deviation."""

    objects: tuple[Detected, ...]
    background: str | None
    noise: float

    @property
    def quality(self) -> float:
        """The mean of four figures in [0, 1] from the pixels: contrast, form, flat background, centring."""
        if not self.objects:
            return 0.0
        contrast = (np.mean([o.opacity for o in self.objects]) - 0.4) / 0.6
        form = (np.mean([o.sharpness for o in self.objects]) - 0.6) / 0.35
        flat = 1 - self.noise / 0.05
        x, y = np.mean([(o.x, o.y) for o in self.objects], 0) - SIZE / 2
        centred = 1 - max(np.hypot(x, y) - 1.0, 0.0) / 5
        return float(np.mean(np.clip(np.array([contrast, form, flat, centred]), 0, 1)))


@dataclass(frozen=True)
class Verdict:
    """Whether an image fulfils a scene, skill by skill; None where the scene does not ask for the skill.

    colour, shape: the things of the image have these colours, these shapes. count: there are as many of them.
    fulfilled: each thing has its own colour and shape, and count, relation and background are right too.
    """

    colour: bool
    shape: bool
    count: bool
    relation: bool | None
    background: bool | None
    fulfilled: bool
    quality: float


def check(image: ArrayLike, scene: Scene) -> Verdict:
    """Whether the image (3, H, W) in [0, 1] shows the scene. H = W is a multiple of 32; torch tensors are
    welcome."""
    return judge(read(image), scene)


def judge(reading: Reading, scene: Scene) -> Verdict:
    """The verdict on a reading, so that one reading can be held against several scenes."""
    found = [(o.colour, o.shape) for o in reading.objects]
    relation = background = None
    if scene.relation is not None:
        first = [o for o in reading.objects if (o.colour, o.shape) == scene.objects[0]]
        second = [o for o in reading.objects if (o.colour, o.shape) == scene.objects[1]]
        relation = bool(first and second and _stands(first[0], second[0], scene.relation))
    if scene.background is not None:
        background = reading.background == scene.background
    return Verdict(
        colour={c for c, _ in found} == {c for c, _ in scene.objects},
        shape={s for _, s in found} == {s for _, s in scene.objects},
        count=len(found) == len(scene.objects),
        relation=relation,
        background=background,
        fulfilled=sorted(found, key=str) == sorted(scene.objects, key=str)
        and relation is not False
        and background is not False,
        quality=reading.quality,
    )


def _stands(first: Detected, second: Detected, relation: str) -> bool:
    """Whether the first thing stands in this relation to the second: at least 4 pixels, and mostly in that
    direction."""
    right, down = second.x - first.x, second.y - first.y
    along, across = (right, down) if relation in ("left", "right") else (down, right)
    if relation in ("right", "below"):
        along = -along
    return along > 4 and abs(across) < along


def read(image: ArrayLike) -> Reading:
    """Finds the things in an image (3, H, W) in [0, 1]."""
    pixels = _pixels(image)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    ground = np.median(border, 0)
    away = np.linalg.norm(BACKGROUND_RGB - ground, axis=1)
    background = BACKGROUNDS[away.argmin()] if away.min() < 0.3 else None

    offset = pixels - ground  # (32, 32, 3)
    lines = COLOUR_RGB - ground  # (6, 3)
    along = offset @ lines.T / (lines**2).sum(1)  # opacity of each pixel in each colour
    miss = np.linalg.norm(offset[:, :, None] - np.clip(along, 0, 1.15)[..., None] * lines, axis=-1)
    nearest = miss.argmin(-1)
    opacity = np.take_along_axis(along, nearest[..., None], -1)[..., 0]
    visible = (opacity > FAINT) & (np.linalg.norm(offset, axis=-1) > DISTANCE)

    objects: list[Detected] = []
    groups, number = ndimage.label(visible)
    for index in range(1, number + 1):
        group = groups == index
        if group.sum() < SMALLEST:
            continue
        shares = np.bincount(nearest[group], minlength=len(COLOURS))
        several = [c for c in range(len(COLOURS)) if shares[c] >= max(14, 0.2 * group.sum())]
        if len(several) < 2:
            colour = int((miss[group] ** 2).sum(0).argmin())
            objects += _things(group, np.where(group, along[..., colour], 0), colour)
        else:  # things of different colours touch
            for colour in several:
                part = ndimage.binary_opening(group & (nearest == colour))
                objects += _things(part, np.where(part, along[..., colour], 0), colour)
    flat = ~ndimage.binary_dilation(visible, iterations=2)
    noise = float(pixels[flat].std(0).mean()) if flat.sum() > 20 else 0.0
    return Reading(tuple(objects), background, noise)


def _pixels(image: ArrayLike) -> np.ndarray:
    """(3, H, W) to (32, 32, 3), averaged where the image is larger."""
    pixels = np.asarray(image, np.float32)
    if (
        pixels.ndim != 3
        or pixels.shape[0] != 3
        or pixels.shape[1] != pixels.shape[2]
        or pixels.shape[1] % SIZE
    ):
        raise BadValue(f"an image of the tiny world has the shape (3, {SIZE}, {SIZE}), not {pixels.shape}")
    factor = pixels.shape[1] // SIZE
    return pixels.reshape(3, SIZE, factor, SIZE, factor).mean((2, 4)).transpose(1, 2, 0)


def _things(group: np.ndarray, opacity: np.ndarray, colour: int) -> list[Detected]:
    """The things of one colour in a connected group of pixels."""
    if group.sum() < SMALLEST:
        return []
    peak = float(np.percentile(opacity[group], 85))
    relative = np.clip(opacity / peak, 0, 1)
    found = []
    for mask in _parts(relative, relative > 0.5, SMALLEST):
        fits = [_fit(mask)]
        if fits[0].overlap < OVERLAP:  # perhaps things that touch: they come apart where they are narrow
            fits = [_fit(piece) for piece in _apart(mask)]
        found += [
            Detected(COLOURS[colour], each.shape, each.x, each.y, each.area, min(peak, 1.0), each.sharpness)
            for each in fits
        ]
    return found


def _apart(mask: np.ndarray) -> list[np.ndarray]:
    """The pieces into which a mask falls when its outline is worn away, or the mask itself."""
    for depth in (1, 2, 3):
        worn = ndimage.binary_erosion(mask > 0.5, np.ones((3, 3), bool), depth)
        pieces = _parts(mask, worn, SMALLEST // 2, depth + 2.5)
        if len(pieces) > 1:
            return pieces
    return [mask]


def _parts(opacity: np.ndarray, core: np.ndarray, smallest: int, reach: float = 2.5) -> list[np.ndarray]:
    """The opacities around each connected part of the core; pixels go to the nearest part within reach."""
    labels, number = ndimage.label(core)
    kept = [i for i in range(1, number + 1) if (labels == i).sum() >= smallest]
    if not kept:
        return []
    ways = np.stack([ndimage.distance_transform_edt(labels != i) for i in kept])
    owner = ways.argmin(0)
    return [np.where((owner == i) & (ways[i] < reach), opacity, 0) for i in range(len(kept))]


@dataclass(frozen=True)
class _Fit:
    """How shapes cover a mask of opacities. shape is None where none covers it well, or two about equally well."""

    shape: str | None
    overlap: float
    sharpness: float
    x: float
    y: float
    area: float


def _fit(mask: np.ndarray) -> _Fit:
    """Draws each shape over the mask, and takes the best."""
    area = float(mask.sum())
    x, y = float((mask.sum(0) * _GRID).sum() / area), float((mask.sum(1) * _GRID).sum() / area)
    overlaps = np.zeros((len(SHAPES), 2))
    for shape, name in enumerate(SHAPES):
        radius = np.sqrt(area / AREA[name])
        inside = distance(shape, _GRID[None] - x, _GRID[:, None] - (y - CENTRE[name] * radius), radius)
        for blur, edge in enumerate((1.0, 2.5)):
            drawn = np.clip(0.5 + inside / edge, 0, 1)
            overlaps[shape, blur] = np.minimum(mask, drawn).sum() / np.maximum(mask, drawn).sum()
    _, second, first = np.sort(overlaps.max(1))
    best = int(overlaps.max(1).argmax())
    clear = first >= OVERLAP and first - second >= MARGIN
    return _Fit(SHAPES[best] if clear else None, float(first), float(overlaps[best, 0]), x, y, area)
