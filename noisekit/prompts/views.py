"""Pictures of a thing from all around it, as prompts: the first is what a model is given, the others are what it
should show.

A suite of such prompts is a folder with a folder for each thing,

    THINGS/shoe/000.png  001.png  …  083.png

V pictures by name, in equal steps of one turn; the first is the input. Of F frames that a model makes, frame f (from
0) shows the thing turned by (f + 1)/F, as SV3D's do, so its truth is picture (f + 1)·V/F mod V, and V has to be a
multiple of F. The last frame is the input again, which is no achievement and counts in no metric. Which way round the
pictures go is not written in them: where a model turns the other way, `reversed` at the end of the folder's name
(THINGS:reversed) reads them backwards.

Things of the bundled turntable are drawn when they are asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from noisekit.errors import BadValue
from noisekit.image_prompts import ImagePrompt
from noisekit.paths import given_path
from noisekit.pictures import endings, read_picture

if TYPE_CHECKING:
    from PIL.Image import Image

#: Where a prompt's record says what its views are: a folder, "turntable:NUMBER", and a hash over their pixels.
VIEWS, PIXELS = "views", "views_hash"
#: What is written behind a folder whose pictures go round the other way.
REVERSED = ":reversed"
_TURNTABLE = "turntable:"


def read_things(folder: str) -> list[tuple[ImagePrompt, dict[str, Any]]]:
    """The prompts of a folder of things, each with its record; `BadValue` where there is none, or a thing has no turn."""
    plain = given_path(folder.removesuffix(REVERSED))
    things = sorted(path for path in plain.iterdir() if path.is_dir() and path.name[0] != ".")
    if not things:
        raise BadValue(
            f"{str(plain)!r} is a folder without folders of views; put each thing's pictures into a folder of its own, or "
            "give a prompt file"
        )
    prompts = []
    for thing in things:
        views = str(thing) + (REVERSED if folder.endswith(REVERSED) else "")
        pictures = _pictures(views)
        record = {VIEWS: views, PIXELS: _hash(pictures)}
        prompts.append((ImagePrompt(thing.name, pictures[0]), record))
    return prompts


def turntable() -> list[tuple[ImagePrompt, dict[str, Any]]]:
    """The things of the bundled suite, called by what they are made of."""
    from noisekit.world.turntable import suite

    records = [{VIEWS: f"{_TURNTABLE}{i}"} for i in range(len(suite()))]
    return [
        (ImagePrompt(thing.name, _drawn(i, 1)[0]), record)
        for i, (thing, record) in enumerate(zip(suite(), records, strict=True))
    ]


def has_views(record: Mapping[str, Any]) -> bool:
    """Whether the record of a prompt says what its views are."""
    return bool(record.get(VIEWS))


def truth(record: Mapping[str, Any], frames: int, size: tuple[int, int]) -> np.ndarray:
    """What frames should show but for the last, (F − 1, H, W, 3) bytes, resized to H × W where they are of another size.

    Raises `BadValue` where the views are not a multiple of the frames, or cannot be read.
    """
    name = str(record[VIEWS])
    if name.startswith(_TURNTABLE):
        number = name.removeprefix(_TURNTABLE)
        views = _drawn(int(number), frames)
    else:
        views = _pictures(name)
        if PIXELS in record and _hash(views) != record[PIXELS]:
            raise BadValue(f"the views in {name!r} are not those that the prompt came with; restore them")
    if len(views) % frames:
        raise BadValue(
            f"{name!r} holds {len(views)} views of one turn, which {frames} frames do not divide; give a multiple of "
            f"{frames} pictures"
        )
    chosen = views[:: len(views) // frames][1:]
    height, width = size
    return np.stack([np.asarray(view.resize((width, height), _BICUBIC)) for view in chosen])


#: Of Pillow.
_BICUBIC = 3


def _pictures(views: str) -> list[Image]:
    folder = Path(views.removesuffix(REVERSED))
    files = sorted(path for path in folder.glob("*") if path.suffix.lower() in endings())
    if len(files) < 2:
        raise BadValue(f"{str(folder)!r} holds {len(files)} pictures; views of a thing are two or more")
    pictures = [read_picture(file, "view") for file in files]
    return [pictures[0], *pictures[:0:-1]] if views.endswith(REVERSED) else pictures


def _hash(pictures: list[Image]) -> str:
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(f"{picture.size}".encode() + picture.tobytes())
    return digest.hexdigest()[:16]


def _drawn(number: int, views: int) -> list[Image]:
    from PIL import Image

    from noisekit.world.turntable import suite, turn

    if not 0 <= number < len(suite()):
        raise BadValue(f"the bundled turntable has things 0 to {len(suite()) - 1}, and no {number}")
    pixels = (turn(suite()[number], views) * 255).round().astype(np.uint8).transpose(0, 2, 3, 1)
    return [Image.fromarray(np.ascontiguousarray(view)) for view in pixels]
