"""A card's files become a diffusers pipeline: its networks one by one, parts from elsewhere put in, LoRA fused."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from noisekit.errors import BadValue, CorruptWeights, NoisekitError, NotSupported
from noisekit.files import read_json
from noisekit.models.cache import Need, lacking
from noisekit.models.cards import DTYPES, Card
from noisekit.models.layout import components, idle, read_index
from noisekit.models.lora import fuse
from noisekit.models.networks import load_file, load_network, network_class, one_line, rounded
from noisekit.models.places import PARTS, part, pipeline_folder
from noisekit.models.precision import widen
from noisekit.registry import shortened

#: Schedules are tables of as many entries as a model was trained with timesteps, which is a thousand of them.
LARGEST = 1_000_000
#: What a pipeline becomes when a ControlNet joins it.
CONTROLLED = {"StableDiffusionXLPipeline": "StableDiffusionXLControlNetPipeline"}


def build(card: Card, dtype: torch.dtype, known: Sequence[str]) -> Any:
    """The pipeline of a card, on the CPU, its networks in `dtype`.

    Each network is loaded by itself, so that its library says what its files lack. known: the pipeline classes that may
    come of it. Raises `CorruptWeights` on damaged or missing files, `NotSupported` on other pipelines, `BadValue` on parts
    that do not go together.
    """
    import diffusers

    folder = pipeline_folder(card)
    index = read_index(folder)
    _check_scheduler(folder / "scheduler" / "scheduler_config.json")
    kind = _kind(card, str(index["_class_name"]), known)
    cls = getattr(diffusers, kind, None)
    if cls is None:
        raise NotSupported(
            f"model {card.name!r} is a {kind}, which the installed diffusers {diffusers.__version__} does not have; a newer "
            "one may"
        )
    elsewhere = _elsewhere(card, folder, index, dtype)
    absent = [
        name for name in lacking(Need(card.repo, variant=card.variant), folder) if name not in elsewhere
    ]
    if absent:
        raise CorruptWeights(
            f"model {card.name!r} has no whole {absent[0]!r} in {str(folder)!r}: its settings, its vocabulary or its "
            "safetensors are missing (pickled weights are not read)"
        )
    networks = {**_networks(card, folder, index, dtype, elsewhere), **elsewhere}
    try:
        pipe = cls.from_pretrained(folder, torch_dtype=dtype, **networks, **_idle(cls))
    except Exception as error:
        raise CorruptWeights(
            f"model {card.name!r} could not be loaded from {str(folder)!r}: {one_line(str(error))}; check that the folder "
            "is whole and in diffusers' format"
        ) from error
    if card.vae_dtype == "fp32":
        widen(pipe.vae)
    if card.lora is not None:
        _fuse(pipe, card)
    return pipe


def _check_scheduler(file: Path) -> None:
    """Raise `CorruptWeights` on a number by which a scheduler would fill the memory before anybody could look at it."""
    try:
        config = read_json(file)
    except (OSError, ValueError):
        return  # diffusers says so
    for name, value in config.items() if isinstance(config, dict) else ():
        if isinstance(value, int) and abs(value) > LARGEST:
            raise CorruptWeights(
                f"{str(file)!r} says {shortened(f'{name}={value}')}; whole numbers of a schedule go up to {LARGEST:,}: copy "
                "the file again"
            )


def _kind(card: Card, kind: str, known: Sequence[str]) -> str:
    if card.controlnet is not None:
        if kind not in CONTROLLED:
            raise NotSupported(
                f"model {card.name!r} is a {kind}, which takes no ControlNet here; {', '.join(CONTROLLED)} does"
            )
        kind = CONTROLLED[kind]
    if kind not in known:
        raise NotSupported(
            f"model {card.name!r} is a {kind}; noisekit runs {', '.join(known)} so far; load one of "
            "a class of your own with that class, and give the pipeline itself"
        )
    return kind


def _elsewhere(card: Card, folder: Path, index: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """Networks that replace or join those of the pipeline's folder."""
    found: dict[str, Any] = {}
    parts = components(index)
    if "vae" not in parts or not set(PARTS["unet"]) & set(parts):
        raise CorruptWeights(f"the index in {str(folder)!r} names no denoiser or no vae; it is damaged")
    if (place := part(card, "unet")) is not None:
        name = next(name for name in PARTS["unet"] if name in parts)
        found[name] = _part(place, parts[name], folder / name, dtype, card.variant)
    if (place := part(card, "vae")) is not None:
        own, wished, exact = _autoencoder(card, dtype)
        found["vae"] = _part(place, parts["vae"], folder / "vae", own, wished, exact)
    if (place := part(card, "controlnet")) is not None:
        found["controlnet"] = _part(place, ("diffusers", "ControlNetModel"), None, dtype, card.variant)
    return found


def _part(
    place: Path,
    kind: tuple[str, str],
    like: Path | None,
    dtype: torch.dtype,
    wished: str | None,
    exact: bool = False,
) -> torch.nn.Module:
    cls = network_class(*kind)
    if place.is_dir():
        return load_network(place, cls, dtype, wished=wished, exact=exact)
    return load_file(place, cls, like, dtype)


def _networks(
    card: Card, folder: Path, index: Mapping[str, Any], dtype: torch.dtype, but: Collection[str]
) -> dict[str, torch.nn.Module]:
    """The networks of the pipeline's folder; `NotSupported` on such as the libraries do not have."""
    found = {}
    coarse: dict[str, str] = {}
    for name, (library, kind) in components(index).items():
        if name in but or not (folder / name / "config.json").is_file():
            continue
        cls = network_class(library, kind)
        if cls is None:
            raise NotSupported(
                f"model {card.name!r} needs the network {kind!r} of {library!r} for its {name!r}, which is not among those "
                "of the installed diffusers and transformers; another version of them may have it"
            )
        own, wished, exact = _autoencoder(card, dtype) if name == "vae" else (dtype, card.variant, False)
        if variant := rounded(folder / name, own, wished):
            coarse[name] = variant
        found[name] = load_network(folder / name, cls, own, wished=wished, exact=exact)
    if coarse:
        said = ", ".join(f"{name} ({variant})" for name, variant in coarse.items())
        warnings.warn(
            f"model {card.name!r} has only rounded weights here, though none were asked for: {said}; they run "
            f"in {str(dtype).removeprefix('torch.')}, and variant={min(coarse.values())!r} says that this is meant",
            stacklevel=4,
        )
    return found


def _autoencoder(card: Card, dtype: torch.dtype) -> tuple[torch.dtype, str | None, bool]:
    """Number type, variant and whether rounded files are refused, of a card's autoencoder."""
    if card.vae_dtype is None:
        return dtype, card.variant, False
    exact = card.vae_dtype == "fp32"
    return getattr(torch, DTYPES[card.vae_dtype]), None if exact else card.variant, exact


def _idle(cls: Any) -> dict[str, Any]:
    """The components of a pipeline class that take no part in making an image from text, left out."""
    takes = inspect.signature(cls.__init__).parameters
    unused: dict[str, Any] = {name: None for name in idle(cls) if name in takes}
    return unused | ({"requires_safety_checker": False} if "requires_safety_checker" in takes else {})


def _fuse(pipe: Any, card: Card) -> None:
    """Add a LoRA's weights to the networks', as diffusers does, and take its layers out again."""
    place = part(card, "lora")
    assert place is not None
    try:
        import peft  # noqa: F401
    except ImportError:
        raise BadValue("LoRA weights need the package peft; install noisekit[lora]") from None
    try:
        fuse(pipe, place, card.lora_scale)
    except NoisekitError:
        raise
    except Exception as error:
        raise CorruptWeights(
            f"LoRA {str(place)!r} does not fit model {card.name!r}: {one_line(str(error))}"
        ) from error
