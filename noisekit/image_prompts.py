"""Prompts with an image: one that becomes frames, or one that a ControlNet follows. Everywhere else they are their text."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from noisekit.errors import BadValue
from noisekit.paths import given_path

if TYPE_CHECKING:
    from PIL.Image import Image


class ImagePrompt(str):
    """A prompt that is an image, with or without a text beside it. Two are equal when text and pixels are.

    `ImagePrompt(text, image)` takes any PIL image, or a file of one, and keeps it as RGB. Its pixels count in every
    key, that of its noise included; a model that reads no images takes it for its text.

    Attributes:
        image: the image.
        pixels: SHA-256 of its size and pixels, 16 digits.

    Raises:
        BadValue: where the file is no image that can be read.
    """

    image: Image
    pixels: str
    #: What the image is called where it cannot be read.
    role: ClassVar[str] = "image"

    def __new__(cls, text: str, image: Image | str | Path) -> Self:
        prompt = super().__new__(cls, text)
        prompt.image = _picture(image, cls.role)
        size = f"{prompt.image.size}".encode()
        prompt.pixels = hashlib.sha256(size + prompt.image.tobytes()).hexdigest()[:16]
        return prompt

    @property
    def noise_key(self) -> str:
        """What its noise is keyed by."""
        return f"{self}\x1f{self.pixels}"

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, ImagePrompt) and self.pixels == other.pixels
        return same and str.__eq__(self, other)

    def __hash__(self) -> int:
        return hash((str(self), self.pixels))

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.image)


class ControlledPrompt(ImagePrompt):
    """A text with the image that a ControlNet follows: the text is the prompt, and keys its noise alone.

    So a model starts from the same noise with the image and without, and everywhere but in a model that follows it the
    prompt is its text.
    """

    role = "control image"

    @property
    def noise_key(self) -> str:
        return str(self)


def pixels_of(prompt: str) -> str:
    """The hash of a prompt's image, "" where it has none."""
    return prompt.pixels if isinstance(prompt, ImagePrompt) else ""


def noise_key(prompt: str) -> str:
    """What the noise of a prompt is keyed by: its text, and the pixels of an image that is the prompt."""
    return prompt.noise_key if isinstance(prompt, ImagePrompt) else prompt


def _picture(image: Image | str | Path, role: str) -> Image:
    from noisekit.pictures import as_rgb, read_picture

    if isinstance(image, str | Path):
        return read_picture(given_path(image), role)
    try:
        return as_rgb(image)
    except BadValue as problem:
        raise BadValue(f"{role} {image!r} cannot be taken: {problem}") from None
