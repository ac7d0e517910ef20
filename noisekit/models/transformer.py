"""What pipelines around a transformer share: a text encoder that reads as many tokens as the call asks for.

How many is a choice that decides the image: the card's, else what the pipeline's own call takes (FLUX 512, SD3 256,
SANA 300, PixArt 120, Qwen-Image 512). Resolution binning, which some of these pipelines do by default, stays off: an
image has the size that was asked for.
"""

from __future__ import annotations

import inspect
from abc import ABC
from typing import Any, ClassVar

from noisekit.errors import BadValue
from noisekit.models.cards import Card
from noisekit.models.pipeline import DiffusersModel


class TransformerModel(DiffusersModel, ABC):
    """A pipeline whose denoiser is a transformer and whose longest text encoder reads `tokens` tokens."""

    denoiser_name: ClassVar[str] = "transformer"
    takes_tokens: ClassVar[bool] = True

    def __init__(self, pipe: Any, card: Card) -> None:
        super().__init__(pipe, card)
        if (room := min(read for _, read in self.readers())) < 1:
            raise BadValue(
                f"tokens={self.tokens} of model {self.name!r} hold no word of a prompt beside the template in which its "
                f"text encoder reads it; give more than {self.tokens - room}"
            )

    @property
    def tokens(self) -> int:
        """How many tokens the longest text encoder reads."""
        return self.card.tokens or int(self.usual("max_sequence_length"))

    @property
    def patch(self) -> int:
        """Side of the square of latents that makes one token of the transformer."""
        return int(self.denoiser.config.patch_size)

    @property
    def pixel_step(self) -> int:
        return super().pixel_step * self.patch

    def usual(self, argument: str) -> Any:
        """What the pipeline's own call takes for an argument that is left out."""
        return inspect.signature(type(self.pipe).__call__).parameters[argument].default

    def readers(self) -> list[tuple[Any, int]]:
        return [(self.pipe.tokenizer, self.tokens)]

    @property
    def call_kwargs(self) -> dict[str, Any]:
        return super().call_kwargs | {"max_sequence_length": self.tokens}

    @property
    def identity(self) -> dict[str, Any]:
        return super().identity | {"tokens": self.tokens}
