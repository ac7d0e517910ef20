"""Images as 8-bit PNG files with their parameters inside, and back.

Frames (F, 3, H, W) are one PNG too, a contact sheet: row by row from the top left, √F of them (rounded up) in a row, white
where none are left, and their number beside the parameters. So whoever looks at a picture sees all of them, and whoever
computes gets them back as they were. Beside it lies an animation for people, by the same name with the ending .webp.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from noisekit.errors import BadValue
from noisekit.files import check_file, write_whole
from noisekit.pictures import animation, read_picture

if TYPE_CHECKING:
    from torch import Tensor

#: The text chunk that says how many frames a contact sheet holds.
FRAMES = "noisekit frames"


def write_png(path: Path, image: Tensor, parameters: Mapping[str, Any]) -> None:
    """Write an image (3, H, W) in [0, 1], or frames (F, 3, H, W) as a contact sheet with its animation beside.

    Each parameter becomes a text chunk, as JSON unless it is a text.
    """
    pixels = image.detach().float().clamp(0, 1).mul(255).round().byte().movedim(-3, -1).numpy(force=True)
    if pixels.ndim == 4:
        write_whole(path.with_suffix(".webp"), animation([Image.fromarray(frame) for frame in pixels]))
        parameters, pixels = {**parameters, FRAMES: len(pixels)}, _sheet(pixels)
    chunks = PngInfo()
    for name, value in parameters.items():
        chunks.add_itxt(name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format="PNG", pnginfo=chunks)
    write_whole(path, content.getvalue())


def _sheet(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The contact sheet (rows·H, columns·W, 3) of frames (F, H, W, 3)."""
    columns = _columns(len(frames))
    blank = np.full((-len(frames) % columns, *frames.shape[1:]), 255, np.uint8)
    tiles = np.concatenate([frames, blank])
    rows = tiles.reshape(-1, columns, *frames.shape[1:]).swapaxes(1, 2)
    return rows.reshape(-1, columns * frames.shape[2], 3)


def _columns(frames: int) -> int:
    return math.ceil(math.sqrt(frames))


def read_image(path: Path) -> Tensor:
    """A picture file of any kind as (3, H, W) in [0, 1], and a contact sheet of `write_png` as its frames (F, 3, H, W).

    Raises `BadValue` when it does not read as one.
    """
    import torch  # reports and exports read stores without it

    pixels = torch.from_numpy(np.array(read_picture(path))).permute(2, 0, 1).float().div_(255)
    frames = frames_in(path)
    if not frames:
        return pixels
    columns = _columns(frames)
    rows = math.ceil(frames / columns)
    if pixels.shape[1] % rows or pixels.shape[2] % columns:
        raise BadValue(
            f"image {str(path)!r} says that it holds {frames} frames, and {pixels.shape[2]} × {pixels.shape[1]} pixels do "
            f"not divide into {columns} × {rows}; restore it"
        )
    tiles = pixels.unflatten(2, (columns, -1)).unflatten(1, (rows, -1)).permute(1, 3, 0, 2, 4)
    return tiles.flatten(0, 1)[:frames].contiguous()


def frames_in(path: Path) -> int:
    """How many frames a file holds as a contact sheet of `write_png`; 0 where it is none."""
    try:
        told = read_parameters(path).get(FRAMES, "0") if path.suffix.lower() == ".png" else "0"
    except BadValue:  # a picture of another kind by that name
        return 0
    return int(told) if told.isdecimal() and len(told) < 6 else 0


def read_parameters(path: Path) -> dict[str, str]:
    """The text chunks of a PNG that `write_png` wrote; raises `BadValue` when it does not read as one."""
    check_file(path)
    try:
        with Image.open(path, formats=["PNG"]) as file:
            return dict(getattr(file, "text", {}))
    except Exception as error:  # decoders raise whatever they stumble over
        raise BadValue(f"image {str(path)!r} cannot be read: {error}") from None
