"""A model before anything of it is loaded: what it can do and what it costs, by its card, and no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NoReturn

import torch

from noisekit.errors import NotSupported
from noisekit.models.base import Marker, Model, guided
from noisekit.models.cards import Card
from noisekit.models.loading import resolve
from noisekit.models.memory import Placement


class NotLoaded(NotSupported):
    """What only a loaded model can tell was asked of an outline."""


class Outline(Model):
    """The model of a card. Costs are those of samplers that evaluate the network once a step."""

    def __init__(self, card: Card) -> None:
        self.name, self.card, self.device = card.name, card, torch.device("cpu")  # pyrefly: ignore[read-only]
        self.markers = frozenset(Marker(name) for name in card.abilities)

    def doubles(self, guidance: float) -> bool:
        return guided(guidance) and not self.card.guidance_embedded

    @property
    def frames(self) -> int:
        return self.card.frames or 1

    def specimen(self, _network: str) -> None:
        return None

    def _unknown(self, *_: Any, **__: Any) -> NoReturn:
        raise NotLoaded(f"model {self.name!r} is not loaded, and its card does not say that")

    attending = encode = grid = predict = sample = decode = _unknown
    noise_shape = property(_unknown)  # pyrefly: ignore[bad-override, bad-assignment]
    identity = property(_unknown)


def outline(source: Any, settings: Mapping[str, Any] | None = None) -> Model:
    """The outline of what `load_model` would load. Nothing is looked for but a folder.

    Args:
        source: as `load_model` takes it; a `Model` passes through.
        settings: of `load_model`; where it would run is left out of account.

    Raises:
        BadValue: on a name that is neither a card nor a folder nor a hub id, and on settings that are wrong.
    """
    if isinstance(source, Model):
        return source
    places = {part.name for part in fields(Placement)}  # where it would run says nothing of what it is
    chosen = {k: v for k, v in (settings or {}).items() if v is not None and k not in places}
    card, _, _ = resolve(source, chosen)
    return Outline(card)
