"""Where the parts of a model lie: a card's texts become folders and files on this machine.

A pipeline's text is a bundled folder, a folder, or a hub id; that of a part (unet, vae, controlnet, lora) is a folder, a
.safetensors file, or "owner/name@revision:path" on the hub, the path being a network's folder or a .safetensors file. For
what was published as a pickle only, the file may be a .bin that holds nothing but tensors.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from noisekit.errors import BadValue
from noisekit.models.cache import Need, held, is_begun, need_of
from noisekit.models.cards import Card
from noisekit.models.hub import folder
from noisekit.paths import BUNDLED

#: Settings of a card that bring one part from elsewhere, and the components of the pipeline that these parts replace.
PARTS = {"unet": ("unet", "transformer"), "vae": ("vae",), "controlnet": (), "lora": ()}


def needs(card: Card) -> list[Need]:
    """What a card needs of the hub, the pipeline first; nothing where it lies on this machine."""
    elsewhere = _elsewhere(card).items()
    parts = [_need(card, name, text) for name, text in elsewhere if _local(card, text) is None]
    if _local(card, card.repo) is not None or _converted(card) is not None:
        return [part for part in parts if part is not None]
    if card.checkpoint is not None:
        return [Need(card.repo, card.revision, inside=card.checkpoint)]
    without = frozenset(name for part in _elsewhere(card) for name in PARTS[part])
    pipeline = Need(card.repo, card.revision, card.variant, without=without)
    return [pipeline, *(part for part in parts if part is not None)]


def pipeline_folder(card: Card) -> Path:
    """The folder of a card's pipeline, downloaded if it has to be; `BadValue` says how else to get it."""
    found = _local(card, card.repo) or _converted(card)
    if found is None and card.checkpoint is not None:
        raise BadValue(
            f"model {card.name!r} is published as one file, {card.checkpoint!r} of {card.repo!r} ({about(card)}); `noisekit "
            f"models fetch {card.name}` downloads it, and `noisekit models convert {card.name}` turns it into a folder once"
        )
    return found or _folder(card, needs(card)[0])


def converted_folder(card: Card) -> Path:
    """Where the folder goes that a card's checkpoint is turned into: beside what the hub's client keeps for others."""
    from huggingface_hub import constants  # `cached_assets_path` would make the folder

    return Path(constants.HF_ASSETS_CACHE) / "noisekit" / "converted" / card.name


def checkpoint_file(card: Card) -> Path:
    """The file of a card's checkpoint, downloaded if it has to be."""
    assert card.checkpoint is not None
    here = _local(card, card.repo)
    if here is not None:
        return here / card.checkpoint
    return _folder(card, Need(card.repo, card.revision, inside=card.checkpoint)) / card.checkpoint


def _converted(card: Card) -> Path | None:
    if card.checkpoint is None:
        return None
    folder = converted_folder(card)
    return folder if (folder / "model_index.json").is_file() else None


def part(card: Card, name: str) -> Path | None:
    """The folder or file of a part that comes from elsewhere; None where the pipeline's own is used."""
    text = getattr(card, name)
    if text is None:
        return None
    if (here := _local(card, text)) is not None:
        return here
    need = _need(card, name, text)
    if need is None:
        raise BadValue(
            f"{name}={text!r} of model {card.name!r} is neither a folder nor a .safetensors file here, nor "
            "'owner/name@revision:path' on the hub"
        )
    if name == "lora" and not (need.inside or "").endswith(".safetensors"):
        raise BadValue(
            f"lora={text!r} of model {card.name!r} names no file; write 'owner/name:FILE.safetensors'"
        )
    return _folder(card, need) / (need.inside or "")


def presence(card: Card) -> Literal["here", "in part", "not here"]:
    """How much of what a card needs is on this machine; the hub is not asked."""
    wanted = needs(card)
    if all(held(need) is not None for need in wanted):
        return "here"
    return "in part" if any(is_begun(need) for need in wanted) else "not here"


def about(card: Card) -> str:
    """Size, licence and access of a card's download, as far as they are known."""
    size = f"about {card.gigabytes:g} GB" if card.gigabytes else "size unknown"
    access = (
        "gated: accept its licence on the hub and log in with `hf auth login` first" if card.gated else ""
    )
    return ", ".join(fact for fact in (size, card.licence, access) if fact)


def _elsewhere(card: Card) -> dict[str, str]:
    return {name: getattr(card, name) for name in PARTS if getattr(card, name) is not None}


def _need(card: Card, name: str, text: str) -> Need | None:
    """The need of a part: the plain files where the autoencoder is to be fp32, not rounded to fp16 first."""
    exact = name == "vae" and card.vae_dtype == "fp32"
    need = need_of(text, None if exact else card.variant)
    return None if need is None else replace(need, exact=exact)


def _local(card: Card, text: str) -> Path | None:
    """The bundled folder, or the folder or file on this machine, that a text names; None where it is neither."""
    bundled = BUNDLED / text
    if card.bundled and bundled.exists():
        return bundled
    path = Path(os.path.expanduser(text))
    return path if os.path.exists(path) else None  # False of what is no path at all


def _folder(card: Card, need: Need) -> Path:
    with explained(card):
        return folder(need)


@contextmanager
def explained(card: Card) -> Iterator[None]:
    """Errors about files that cannot be had, with what fetches them, their size, licence and access."""
    try:
        yield
    except BadValue as problem:
        raise BadValue(
            f"model {card.name!r} needs files that are missing: {problem}; `noisekit models fetch {card.name}` gets them "
            f"where the hub can be reached ({about(card)})"
        ) from None
