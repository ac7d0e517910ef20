"""Scenes in pixels: an anti-aliased renderer with signed distances.

A thing covers the pixel at p with opacity  a(p) = clip(1/2 + d(p) / w, 0, 1),  where d is the signed distance
to the outline (positive inside, in pixels) and w the width of the edge: one pixel when the image is sharp.
Pixels are background · (1 − a) + colour · a, one thing after the other.

Captions do not mention the quality q in [0, 1]. At q = 1 the drawing is clean: full contrast, sharp, centred,
on a flat background. With 1 − q grow, each by its own random amount: a loss of contrast, blur, wobbling
outlines, clutter in the background, smaller things, and a shift away from the centre.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from noisekit.errors import BadValue
from noisekit.world.grammar import BACKGROUNDS, COLOURS, SHAPES, Scene

SIZE = 32
SLOTS = 3  # no scene has more things

_RGB = {
    "red": (220, 35, 35),
    "green": (35, 165, 60),
    "blue": (45, 80, 225),
    "yellow": (240, 215, 45),
    "purple": (150, 55, 195),
    "cyan": (50, 205, 215),
    "white": (250, 250, 250),
    "gray": (128, 128, 128),
    "black": (12, 12, 12),
    "pink": (250, 200, 210),
}
COLOUR_RGB = np.array([_RGB[name] for name in COLOURS], np.float32) / 255  # (6, 3)
BACKGROUND_RGB = np.array([_RGB[name] for name in BACKGROUNDS], np.float32) / 255  # (4, 3)

_ANGLE = {"left": 0.0, "above": 90.0, "right": 180.0, "below": 270.0}  # from the first thing to the second


def distance(shape: int, x: np.ndarray, y: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Signed distance in pixels, positive inside, to the outline of a shape at the origin; y points down."""
    if SHAPES[shape] == "circle":
        return radius - np.sqrt(x * x + y * y)
    if SHAPES[shape] == "square":
        return 0.88 * radius - np.maximum(np.abs(x), np.abs(y))
    # The triangle stands on its base at y = 0.93 r; its apex is at y = −1.05 r, its sides rise 1.88 for each
    # pixel across.
    return np.minimum(0.93 * radius - y, (y + 1.05 * radius) * 0.469 - np.abs(x) * 0.883)


def arrange(scene: Scene, rng: np.random.Generator, quality: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A layout: centres (n, 2) as x, y and radii (n,) in pixels; the things are apart and inside the image."""
    n = len(scene.objects)
    low, high = {1: (6.5, 9.0), 2: (5.3, 6.3), 3: (5.0, 6.0)}[n]
    radius = rng.uniform(low, high) * (1 - 0.15 * (1 - quality))
    radii = np.full(n, radius) if scene.kind == "count" else radius * rng.uniform(0.9, 1.0, n)
    apart = 2 * radius + rng.uniform(2.0, 3.2)  # between centres, along the farther axis
    if n == 1:
        centres = np.zeros((1, 2))
    elif n == 2:
        degrees = _ANGLE[scene.relation] + rng.uniform(-15, 15) if scene.relation else rng.uniform(0, 360)
        direction = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
        centres = np.array([[-0.5], [0.5]]) * apart * direction / np.abs(direction).max()
    else:  # two side by side and one across from them, turned by a multiple of a right angle
        centres = np.array([[-0.5, -0.5], [0.5, -0.5], [rng.uniform(-0.3, 0.3), 0.5]]) * apart
        turn = int(rng.integers(4))
        for _ in range(turn):
            centres = np.stack([-centres[:, 1], centres[:, 0]], 1)
        centres = rng.permutation(centres)
    reach = radii[:, None] * 1.06
    low_corner, high_corner = (centres - reach).min(0), (centres + reach).max(0)
    shift = SIZE / 2 - (low_corner + high_corner) / 2 + rng.normal(0, 0.6, 2)
    shift += rng.uniform(-1, 1, 2) * 6 * (1 - quality)
    shift = np.clip(shift, 0.7 - low_corner, SIZE - 0.7 - high_corner)
    return centres + shift, radii


@cache
def _spline(knots: int) -> np.ndarray:
    """Weights (SIZE, knots) that turn random knots into a smooth curve of unit variance."""
    at = np.linspace(0, knots - 1, SIZE)[:, None] - np.arange(knots)
    weights = np.exp(-0.5 * (at / 0.6) ** 2)
    return (weights / np.sqrt((weights**2).sum(1, keepdims=True))).astype(np.float32)


def _smooth_noise(rng: np.random.Generator, n: int, channels: int, knots: int) -> np.ndarray:
    """Smooth Gaussian fields (n, channels, SIZE, SIZE) of about unit variance."""
    weights = _spline(knots)
    return weights @ rng.standard_normal((n, channels, knots, knots), dtype=np.float32) @ weights.T


def draw(
    scenes: Sequence[Scene], rng: np.random.Generator, quality: float | Sequence[float] | np.ndarray = 1.0
) -> np.ndarray:
    """Renders scenes: images (n, 3, 32, 32), float32 in [0, 1].

    quality: q in [0, 1], one number or one a scene. A background that a scene leaves open is drawn at random.
    """
    n = len(scenes)
    q = np.broadcast_to(np.asarray(quality, np.float32), (n,))
    if n and not (q.min() >= 0 and q.max() <= 1):
        raise BadValue(f"quality must lie in [0, 1], not {q.min():g} to {q.max():g}")
    centres, radii = np.zeros((n, SLOTS, 2), np.float32), np.ones((n, SLOTS), np.float32)
    present = np.zeros((n, SLOTS), np.float32)
    shapes, colours = np.zeros((n, SLOTS), int), np.zeros((n, SLOTS), int)
    ground = rng.integers(len(BACKGROUNDS), size=n)
    for i, scene in enumerate(scenes):
        k = len(scene.objects)
        centres[i, :k], radii[i, :k] = arrange(scene, rng, float(q[i]))
        present[i, :k] = 1
        colours[i, :k] = [COLOURS.index(colour) for colour, _ in scene.objects]
        shapes[i, :k] = [SHAPES.index(shape) for _, shape in scene.objects]
        if scene.background is not None:
            ground[i] = BACKGROUNDS.index(scene.background)

    poor = 1 - q
    amount = poor * rng.uniform(0.3, 1.0, (4, n)).astype(np.float32)
    wobble = _smooth_noise(rng, n, 2, 6) * (0.9 * amount[0])[:, None, None, None]
    edge = (1 + 2.2 * amount[1])[:, None, None]
    contrast = 1 - 0.5 * amount[2]
    clutter = 0.6 * _smooth_noise(rng, n, 3, 7) + _smooth_noise(rng, n, 1, 7)
    clutter *= (0.05 * amount[3])[:, None, None, None]

    grid = np.arange(SIZE, dtype=np.float32) + 0.5
    images = np.repeat(np.repeat(BACKGROUND_RGB[ground][:, :, None, None], SIZE, 2), SIZE, 3)
    for slot in range(SLOTS):
        x = grid[None, None, :] - centres[:, slot, 0, None, None] + wobble[:, 0]
        y = grid[None, :, None] - centres[:, slot, 1, None, None] + wobble[:, 1]
        r = radii[:, slot, None, None]
        every = np.stack([distance(shape, x, y, r) for shape in range(len(SHAPES))])
        inside = every[shapes[:, slot], np.arange(n)]
        opacity = np.clip(0.5 + inside / edge, 0, 1) * (contrast * present[:, slot])[:, None, None]
        images += (COLOUR_RGB[colours[:, slot]][:, :, None, None] - images) * opacity[:, None]
    return np.clip(images + clutter, 0, 1)
