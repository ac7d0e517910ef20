"""What the preference models learn from: for one prompt several images, how much of the prompt each shows, and how
good each looks.

Drawn rankings know both by construction. Their members are drawn with the same random numbers, and differ either in what
they show, each member with one more flaw, or in quality. Rankings of the generator's pictures put pictures made for a
prompt next to pictures made for prompts that differ from it in one word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from scipy import ndimage

from noisekit.tiny.data import as_input
from noisekit.tiny.files import save_arrays
from noisekit.tiny.pictures import SHARD, Pictures, load_generated
from noisekit.tiny.recipe import Recipe
from noisekit.tiny.sampling import decode, pipeline
from noisekit.world.check import Reading, judge, read
from noisekit.world.grammar import Scene, Thing, near_misses, parse, sample_scene
from noisekit.world.render import draw

STEP = 0.2  # the least distance in quality of two members that differ in quality


@dataclass(frozen=True)
class Rankings:
    """n prompts with k images each.

    images (n, k, 3, 32, 32) uint8; prompts (n,); captions (n, k), true of the image or "" where none is known;
    alignment (n, k), the share of what the prompt asks for that the image shows; quality (n, k) in [0, 1].
    """

    images: np.ndarray
    prompts: np.ndarray
    captions: np.ndarray
    alignment: np.ndarray
    quality: np.ndarray


def join(parts: Sequence[Rankings]) -> Rankings:
    """All rankings of several sources."""
    return Rankings(*(np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])))


def load(path: Path) -> Rankings:
    """The rankings in a file."""
    with np.load(path) as saved:
        return Rankings(**{name: saved[name] for name in saved.files})


def gather(path: Path, work: Path, out: Path, recipe: Recipe, *, k: int, seed: int, part: int | None) -> None:
    """Writes rankings of k with `recipe.ranked` images to a file; a file that is there is kept.

    A quarter are drawn scenes, a quarter others through the autoencoder, and half the generator's pictures: those of part
    0, 1 or 2 (see `third`), with the checker's verdicts; or, with part None, all of them without.
    """
    if path.exists():
        return
    rng = np.random.default_rng([recipe.seed, seed])
    n = recipe.ranked // (4 * k)
    pictures = load_generated(work) if part is None else third(load_generated(work), part)
    rankings = join(
        [
            drawn(n, k, rng),
            through(pipeline(str(out / "tiny")).vae, drawn(n, k, rng), rng),
            generated(pictures, 2 * n, k, rng, checked=part is not None),
        ]
    )
    save_arrays(path, **vars(rankings))


def drawn(n: int, k: int, rng: np.random.Generator) -> Rankings:
    """Fresh scenes, all things allowed: half the rankings differ in what they show, half in quality."""
    images = np.empty((n, k, 3, 32, 32), np.uint8)
    captions = []
    alignment, quality = np.ones((n, k), np.float32), np.empty((n, k), np.float32)
    for i in range(n):
        scenes = [sample_scene(rng, unseen=None)]
        spoiled = i % 4 == 3  # in its pixels, instead of in the drawing
        if i % 2 == 0:
            while len(scenes) < k:
                scenes.append(flawed(scenes[-1], rng))
            alignment[i] = [likeness(scenes[0], scene) for scene in scenes]
            quality[i] = rng.uniform(0.5, 1) if rng.random() < 0.5 else 1.0
        else:
            scenes *= k
            quality[i] = descending(k, rng)
        key = int(rng.integers(2**62))
        for j, scene in enumerate(scenes):
            same = np.random.default_rng(key)
            image = draw([scene], same, 1.0 if spoiled else float(quality[i, j]))[0]
            images[i, j] = (255 * (spoil(image, 1 - quality[i, j], same) if spoiled else image)).round()
        captions.append([scene.caption for scene in scenes])
    named = np.array(captions)
    return Rankings(images, named[:, 0], named, alignment, quality)


def descending(k: int, rng: np.random.Generator) -> np.ndarray:
    """k qualities in [0, 1], each at least STEP below the one before; the first is 1 half the time."""
    spare = rng.dirichlet(np.ones(k + 1)) * (
        1 - (k - 1) * STEP
    )  # above the first, between them, below the last
    spare[0] *= rng.random() < 0.5
    return 1 - np.cumsum(spare[:k]) - STEP * np.arange(k)


def flawed(scene: Scene, rng: np.random.Generator) -> Scene:
    """What a careless painter makes of a scene: a word is wrong, a thing is missing, or two colours are exchanged."""
    (one, *rest), chance = scene.objects, rng.random()
    if chance < 0.25 and scene.kind in ("pair", "relation", "triple"):
        return Scene("pair" if len(rest) == 2 else "single", tuple(rest), None, scene.background)
    exchanged = rest and ((rest[0][0], one[1]), (one[0], rest[0][1]), *rest[1:])
    if chance < 0.5 and exchanged and len({*exchanged, *scene.objects}) == len(scene.objects) + 2:
        return replace(scene, objects=tuple(exchanged))
    return parse(str(rng.choice(near_misses(scene))))


def likeness(wanted: Scene, drawn: Scene) -> float:
    """The share of what one scene asks for that a drawing of another shows, counted as in `alignment`."""
    relation = background = None
    if wanted.relation is not None:
        relation = set(wanted.objects) <= set(drawn.objects) and wanted.relation == drawn.relation
    if wanted.background is not None:
        background = wanted.background == drawn.background
    return _share(list(wanted.objects), list(drawn.objects), relation, background)


def spoil(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """An image (3, 32, 32) in [0, 1] with blur and noise that grow with an amount in [0, 1]."""
    width, strength = 1.2 * amount * rng.uniform(0.3, 1), 0.12 * amount * rng.uniform(0.3, 1)
    blurred = ndimage.gaussian_filter(image, (0, width, width), mode="nearest")
    return np.clip(blurred + strength * rng.standard_normal(image.shape), 0, 1)


@torch.no_grad()
def through(vae: AutoencoderKL, rankings: Rankings, rng: np.random.Generator) -> Rankings:
    """The same rankings through the autoencoder, a generator's view of them.

    In half of them the members are mixed in latent space, the first with up to 0.3 of the second, the others with up to
    0.5 of the first: half-way things, as a generator makes them, whose order is still known but no longer their
    caption. All latents get a little noise.
    """
    n, k = rankings.alignment.shape
    images = as_input(rankings.images.reshape(n * k, 3, 32, 32))
    with torch.autocast("cpu", torch.bfloat16):
        latents = torch.cat([vae.encode(part).latent_dist.mean.float() for part in images.split(128)])
    z = latents.view(n, k, 4, 8, 8).numpy()
    amount = rng.uniform(0, [0.3] + [0.5] * (k - 1), (n, k)).astype(np.float32)
    amount *= (rng.random((n, 1)) < 0.5).astype(np.float32)
    partner = np.concatenate([z[:, 1:2], np.repeat(z[:, :1], k - 1, 1)], 1)
    z = z + amount[:, :, None, None, None] * (partner - z)
    z = z + 0.15 * rng.random((n, k, 1, 1, 1)) * rng.standard_normal(z.shape)
    decoded = decode(vae, torch.from_numpy(z).float().view(n * k, 4, 8, 8)).view(n, k, 3, 32, 32)

    def mixed(values: np.ndarray) -> np.ndarray:
        other = np.concatenate([values[:, 1:2], np.repeat(values[:, :1], k - 1, 1)], 1)
        return values + amount * (other - values)

    return Rankings(
        (decoded.numpy() * 255).round().astype(np.uint8),
        rankings.prompts,
        np.where(amount > 0.1, "", rankings.captions),
        mixed(rankings.alignment),
        mixed(rankings.quality),
    )


def third(pictures: Pictures, part: int) -> Pictures:
    """Every third shard, so that three models can learn from different pictures; smaller blocks where there are few."""
    block = min(SHARD, len(pictures.images) // 3)
    chosen = np.flatnonzero(np.arange(len(pictures.images)) // block % 3 == part)
    return Pictures(
        pictures.images[chosen],
        [pictures.captions[i] for i in chosen],
        [pictures.prompts[i] for i in chosen],
        pictures.quality[chosen],
    )


def generated(pictures: Pictures, n: int, k: int, rng: np.random.Generator, *, checked: bool) -> Rankings:
    """Rankings of the generator's pictures; about half the members were made for prompts one word away.

    checked: alignment, quality and captions are the checker's. Without, no verdict is read: a picture is taken to show
    what it was made for, and all to look alike.
    """
    places: dict[str, list[int]] = {}
    for i, prompt in enumerate(pictures.prompts):
        places.setdefault(prompt, []).append(i)
    prompts, members = list(places), np.empty((n, k), int)
    asked = rng.choice(prompts, n)
    for i, prompt in enumerate(asked):
        first, *alike = rng.permutation(places[prompt])
        others = rng.permutation([i for miss in near_misses(parse(prompt)) for i in places.get(miss, ())])
        near = rng.permutation([*(alike[: k - 1] if checked else ()), *others[: k - 1]])
        far = rng.integers(len(pictures.images), size=k - 1)  # where there are not enough near ones
        members[i] = [first, *near, *far][:k]
    flat = members.ravel()
    wanted = np.repeat(asked, k)
    if checked:
        readings = {i: read(pictures.images[i] / np.float32(255)) for i in np.unique(flat)}
        captions = np.array(pictures.captions)[flat]
        shown = [alignment(readings[i], parse(prompt)) for i, prompt in zip(flat, wanted, strict=True)]
        quality = pictures.quality[flat]
    else:
        captions = np.array(pictures.prompts)[flat]
        shown = captions == wanted
        quality = np.ones(n * k)
    return Rankings(
        pictures.images[flat].reshape(n, k, 3, 32, 32),
        asked,
        captions.reshape(n, k),
        np.array(shown, np.float32).reshape(n, k),
        quality.astype(np.float32).reshape(n, k),
    )


def alignment(reading: Reading, scene: Scene) -> float:
    """The share of what a scene asks for that an image shows, in [0, 1]; 1 exactly where the scene is fulfilled.

    A thing counts two, one of them where only its colour or only its shape is there; relation and background count one
    each. What is there too many counts like what is missing.
    """
    verdict = judge(reading, scene)
    found = [(o.colour, o.shape) for o in reading.objects]
    return _share(list(scene.objects), found, verdict.relation, verdict.background)


def _share(
    wanted: list[Thing], found: list[tuple[str, str | None]], relation: bool | None, background: bool | None
) -> float:
    asked = 2.0 * max(len(wanted), len(found))
    missing, spare, met = [], list(found), 0.0
    for thing in wanted:
        if thing in spare:
            spare.remove(thing)
            met += 2
        else:
            missing.append(thing)
    for colour, shape in missing:
        half = next((each for each in spare if each[0] == colour or each[1] == shape), None)
        if half is not None:
            spare.remove(half)
            met += 1
    for demand in (relation, background):
        asked += demand is not None
        met += demand is True
    return met / asked
