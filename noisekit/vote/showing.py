"""What a browser gets: the page, and the pictures of a ballot, pixels and nothing else.

The page is one, served or static, which differ in where ballots come from and votes go.

A stored image carries its method and prompt as text, and its name is that of its setting; both stay here. Noise, which
stands in for an image in an attention pair, is drawn at the size of the image beside it, the same whenever it is asked for.
"""

from __future__ import annotations

import io
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

from noisekit.paths import path_within
from noisekit.pictures import read_picture
from noisekit.vote.study import NOISE, Ballot


def written(*scripts: str) -> str:
    """The page with the scripts that it takes its ballots from, before its own."""
    page = (files("noisekit.vote") / "page.html").read_text(encoding="utf-8")
    tags = "".join(f'<script src="{script}" defer></script>\n' for script in (*scripts, "page.js"))
    return page.replace("<!-- scripts -->\n", tags)


def picture(folder: Path, ballot: Ballot, side: str) -> bytes:
    """The left or right picture of a ballot as PNG; raises `BadValue` where its file does not read."""
    name, other = (ballot.left, ballot.right) if side == "left" else (ballot.right, ballot.left)
    if name == NOISE:
        beside = read_picture(path_within(folder, other))
        draw = np.random.default_rng(int(ballot.ballot, 16))
        return encoded(Image.fromarray(draw.integers(0, 256, (*beside.size[::-1], 3), dtype=np.uint8)))
    return encoded(read_picture(path_within(folder, name)))


def encoded(image: Image.Image) -> bytes:
    """The pixels of an image as PNG, without text, date or profile."""
    buffer = io.BytesIO()
    Image.frombytes("RGB", image.size, image.convert("RGB").tobytes()).save(buffer, "PNG")
    return buffer.getvalue()
