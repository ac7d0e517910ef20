"""Pictures inside a page: as data URIs, so that the page needs no other file.

A picture is shrunk to `SIDE` pixels and written as WebP, without loss where a pixel may take a byte, else with loss, and
smaller still where it has to be: a page of thousands of pictures stays a page. Several frames are one that plays.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

from PIL import Image, WebPImagePlugin

from noisekit.pictures import SHOWN

#: Pixels of a thumbnail's longer side.
SIDE = 192
#: Bytes of one thumbnail, where nobody asks for fewer.
MOST = 24_000
#: Quality of WebP with loss.
QUALITY = 82
#: What nothing is shrunk below: 8 x 8 pixels say little, and fit anywhere.
LEAST = 8


def data_uri(content: bytes, kind: str) -> str:
    """Bytes as an address that holds them; kind: such as "image/png"."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def thumbnail(frames: Sequence[Image.Image], most: int = MOST, side: int = SIDE) -> bytes:
    """Frames of one size, often a single one, as WebP in `most` bytes or fewer, `side` pixels or fewer on a side."""
    small = [_within(frame, side) for frame in frames]
    if small[0].size == frames[0].size and small[0].width * small[0].height <= most:
        exact = _webp(small, lossless=True)
        if len(exact) <= most:
            return exact
    content = _webp(small)
    while len(content) > most and max(small[0].size) > LEAST:
        scale = min(0.9, 0.95 * (most / len(content)) ** 0.5)
        small = [_within(frame, max(LEAST, int(scale * max(frame.size)))) for frame in small]
        content = _webp(small)
    return content


def _within(image: Image.Image, side: int) -> Image.Image:
    shrunk = image.copy()
    shrunk.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return shrunk


def _webp(frames: Sequence[Image.Image], *, lossless: bool = False) -> bytes:
    buffer, first = io.BytesIO(), frames[0]
    playing = {"save_all": True, "append_images": frames[1:], "duration": SHOWN, "loop": 0}
    how = {"lossless": lossless, "quality": QUALITY, "method": 2}
    first.save(buffer, WebPImagePlugin.WebPImageFile.format, **how, **(playing if len(frames) > 1 else {}))
    return buffer.getvalue()
