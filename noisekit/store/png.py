"""Images as 8-bit PNG files with their parameters inside, and back."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from noisekit.errors import BadValue
from noisekit.files import check_file, write_whole
from noisekit.pictures import read_picture

if TYPE_CHECKING:
    from torch import Tensor


def write_png(path: Path, image: Tensor, parameters: Mapping[str, Any]) -> None:
    """Write an image (3, H, W) in [0, 1]; each parameter becomes a text chunk, as JSON unless it is a text."""
    pixels = image.detach().float().clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy(force=True)
    chunks = PngInfo()
    for name, value in parameters.items():
        chunks.add_itxt(name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format="PNG", pnginfo=chunks)
    write_whole(path, content.getvalue())


def read_image(path: Path) -> Tensor:
    """A picture file of any kind as (3, H, W) in [0, 1]; raises `BadValue` when it does not read as one."""
    import torch  # reports and exports read stores without it

    pixels = torch.from_numpy(np.array(read_picture(path)))
    return pixels.permute(2, 0, 1).float().div_(255)


def read_parameters(path: Path) -> dict[str, str]:
    """The text chunks of a PNG that `write_png` wrote; raises `BadValue` when it does not read as one."""
    check_file(path)
    try:
        with Image.open(path, formats=["PNG"]) as file:
            return dict(getattr(file, "text", {}))
    except Exception as error:  # decoders raise whatever they stumble over
        raise BadValue(f"image {str(path)!r} cannot be read: {error}") from None
