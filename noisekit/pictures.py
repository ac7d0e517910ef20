"""Picture files as people have them, and the one way in which all of noisekit reads them: as 8-bit RGB.

    grey of 16 bits        v / 257, rounded; of 12 bits v · 255 / 4095; white where a TIFF says that 0 is white
    floating point         v · 255, where every value lies in [0, 1]; refused otherwise, as are 32-bit whole numbers
    transparency           over white: α v + (1 − α) 255, be it a channel, a palette's or a single colour
    EXIF orientation       turned and mirrored as it says
    palette, CMYK, Lab …   as Pillow converts them, without their colour profile
    several frames         the first

Pillow's decoders raise whatever they stumble over, so every error of theirs becomes one sentence about the file.
"""

from __future__ import annotations

import io
import warnings
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from noisekit.errors import BadValue
from noisekit.files import check_file

#: What lies behind transparent pixels.
BACKGROUND = (255, 255, 255)
#: Pixels beyond which a picture is refused, so that no small file fills the memory; an 8K frame has fewer.
MOST_PIXELS = 2**25
#: How many times as long as the other a side may be: networks read squares, and resize before they crop.
MOST_STRETCHED = 64

#: Milliseconds for which an animation shows each frame: SVD's 7 a second.
SHOWN = 143

#: Formats that Pillow knows and that are no pictures to read: some need other programs, some it only identifies.
_NOT_READ = frozenset({"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"})
#: Endings of pictures that Pillow does not read, unless a plugin of it does.
_FOREIGN = frozenset(
    ".eps .ps .ai .pdf .wmf .emf .svg .svgz .heic .heif .jxl .exr .hdr .xcf .kra".split()
    + ".dng .cr2 .cr3 .nef .arw .orf .raf .rw2".split()
)
_TIFF_BITS, _TIFF_PHOTOMETRIC = 258, 262


@cache
def endings() -> frozenset[str]:
    """The endings of files that are read as pictures, in lower case: ".png", ".jpg", ".webp" …"""
    return frozenset(ending for ending, kind in Image.registered_extensions().items() if kind in _kinds())


def animation(frames: list[Image.Image]) -> bytes:
    """Frames as a WebP that plays for ever, without loss."""
    content = io.BytesIO()
    frames[0].save(
        content, "WEBP", save_all=True, append_images=frames[1:], duration=SHOWN, loop=0, lossless=True
    )
    return content.getvalue()


def is_foreign(path: Path) -> bool:
    """Whether a file's ending is that of a picture of a kind that is not read."""
    return path.suffix.lower() in _FOREIGN - endings()


def read_picture(path: Path, what: str = "image") -> Image.Image:
    """A picture file as RGB; raises `BadValue`, naming the file, where it does not read as one in full."""
    check_file(path, what)
    try:
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")  # what is wrong enough to matter is raised below
            picture = _opened(file)
            check_size(picture.size)
            if picture.format == "PNG":  # its decoder passes over the checksums of what it decodes
                picture.verify()
                file.seek(0)
                picture = _opened(file)
            return as_rgb(picture)
    except UnidentifiedImageError:
        reason = "it is no picture of a kind that Pillow reads, or damaged at its beginning"
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
    raise BadValue(f"{what} {str(path)!r} cannot be read: {reason}")


def as_rgb(picture: Image.Image) -> Image.Image:
    """A picture in any mode as 8-bit RGB, by the rules above; raises `BadValue` on numbers of unknown range."""
    tags: Any = getattr(picture, "tag_v2", {})
    kind, bits, white_is_zero = picture.format, tags.get(_TIFF_BITS), tags.get(_TIFF_PHOTOMETRIC) == 0
    picture.load()
    key = picture.info.get("transparency")
    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith("I;16") or (upright.mode == "I" and kind in ("PNG", "PPM")):
        most = 4095 if bits == (12,) else 65535
        return _grey(np.asarray(upright).astype(float) / most, white_is_zero, key and key / most)
    if upright.mode == "I":
        raise BadValue(
            "it holds whole numbers of 32 bits, whose range nobody knows; save it with 8 or 16 bits"
        )
    if upright.mode == "F":
        return _grey(np.asarray(upright), white_is_zero)
    if not upright.has_transparency_data:
        return upright.convert("RGB")
    if upright.mode == "La":
        upright = upright.convert("LA")
    coloured = upright.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", coloured.size, (*BACKGROUND, 255)), coloured).convert(
        "RGB"
    )


def _grey(values: np.ndarray, white_is_zero: bool, transparent: float | None = None) -> Image.Image:
    """RGB of grey values (H, W) in [0, 1], those that equal `transparent` in the colour of the background."""
    if not (values.min() >= 0 and values.max() <= 1):
        raise BadValue(
            f"its values reach from {values.min():.4g} to {values.max():.4g}, where 0 to 1 is read; scale them, or save it "
            "with 8 or 16 bits"
        )
    grey = ((1 - values if white_is_zero else values) * 255).round().astype(np.uint8)
    pixels = np.repeat(grey[..., None], 3, axis=-1)
    if transparent is not None:
        pixels[values == transparent] = BACKGROUND
    return Image.fromarray(pixels)


def _opened(file: BinaryIO) -> Image.Image:
    """As what it is; the decoders of other formats than ours take a while to be imported."""
    try:
        return Image.open(file, formats=["PNG"])
    except UnidentifiedImageError:
        file.seek(0)
        return Image.open(file, formats=_kinds())


@cache
def _kinds() -> tuple[str, ...]:
    Image.init()
    return tuple(sorted(set(Image.OPEN) - _NOT_READ))


def check_size(size: tuple[int, int]) -> None:
    """Raise `BadValue` where a picture of this size would fill the memory, or is too long for its width."""
    width, height = size
    if width * height > MOST_PIXELS:
        raise BadValue(
            f"it is {width} × {height} pixels, more than the {MOST_PIXELS} allowed; make it smaller"
        )
    if max(size) > MOST_STRETCHED * min(size):
        raise BadValue(
            f"it is {width} × {height} pixels, one side more than {MOST_STRETCHED} times the other; cut it to shape"
        )
