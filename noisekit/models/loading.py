"""`load_model`: a card's name, a hub id, a local folder or a diffusers pipeline object becomes a `Model`.

Weights are read as safetensors only. Every tensor of every network is checked against its file: diffusers starts missing
ones from random values with no more than a warning.
"""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from noisekit import registry
from noisekit.errors import BadValue, NotSupported, unknown
from noisekit.models.base import Model
from noisekit.models.building import build
from noisekit.models.cards import DTYPES, SETTINGS, Card, cards
from noisekit.models.memory import Offload, Placement
from noisekit.models.pipeline import DiffusersModel
from noisekit.models.places import PARTS
from noisekit.models.samplers import check_timesteps, load_sampler

#: Adapter by the pipeline class that a model_index.json names, imported when a pipeline of that class comes.
ADAPTERS: Mapping[str, str] = {
    "StableDiffusionPipeline": "noisekit.models.stable_diffusion:StableDiffusion",
    "StableDiffusionXLPipeline": "noisekit.models.sdxl:StableDiffusionXL",
    "StableDiffusionXLControlNetPipeline": "noisekit.models.controlnet:ControlledSDXL",
    "PixArtAlphaPipeline": "noisekit.models.pixart:PixArtAlpha",
    "PixArtSigmaPipeline": "noisekit.models.pixart:PixArtSigma",
    "HunyuanDiTPipeline": "noisekit.models.hunyuan:HunyuanDiT",
    "StableDiffusion3Pipeline": "noisekit.models.sd3:StableDiffusion3",
    "FluxPipeline": "noisekit.models.flux:Flux",
    "SanaPipeline": "noisekit.models.sana:Sana",
    "SanaSprintPipeline": "noisekit.models.sana:SanaSprint",
    "ZImagePipeline": "noisekit.models.z_image:ZImage",
    "Flux2KleinPipeline": "noisekit.models.flux2:Flux2",
    "Flux2Pipeline": "noisekit.models.flux2:Flux2",
    "QwenImagePipeline": "noisekit.models.qwen_image:QwenImage",
    "Krea2Pipeline": "noisekit.models.krea2:Krea2",
    "ChromaPipeline": "noisekit.models.chroma:Chroma",
    "Lumina2Pipeline": "noisekit.models.lumina2:Lumina2",
    "StableVideoDiffusionPipeline": "noisekit.models.svd:StableVideo",
}

#: All that `load_model` takes beside the source.
MODEL_SETTINGS = (*SETTINGS, *(part.name for part in fields(Placement)))

#: Settings that cannot be had of a pipeline that is loaded already.
OF_FILES = (*PARTS, "lora_scale", "dtype", "revision", "variant")

#: How checkpoints end that hold a whole pipeline in one file.
SINGLE_FILES = (".safetensors", ".ckpt")


def load_model(
    source: Any,
    *,
    steps: int | None = None,
    guidance: float | None = None,
    scheduler: str | None = None,
    size: int | Sequence[int] | None = None,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    offload: Offload | None = None,
    **settings: Any,
) -> Model:
    """Load a text-to-image model, or one that makes frames of an image.

    Args:
        source: a card ("sdxl-turbo", see `noisekit list models`), a hub id ("owner/name"), a folder in diffusers' format,
            any of them with settings ("sdxl-turbo(steps=2)"), a pipeline object, or a `Model`, which passes through.
        steps: of the sampler; 1 makes a one-step model.
        guidance: scale of classifier-free guidance.
        scheduler: a short name ("ddim", "euler", "dpmpp_2m" …) or a diffusers class.
        size: pixels, one number or (height, width).
        dtype: "fp16", "bf16" or "fp32"; by default the card's on an accelerator and fp32 elsewhere.
        device: by default the first accelerator.
        offload: "model" or "sequential".
        settings: eta, timesteps, tokens, revision, variant, unet, vae, controlnet, control_scale, lora, lora_scale, tiling,
            frames, frame_guidance, fps, motion_bucket, noise_aug and decode_chunk, as on a `Card`; slicing and
            checkpointing, as in `Placement`.

    Returns:
        The model on its device, in the number type asked for.

    Raises:
        BadValue: on unknown names, and on files that are neither here nor within reach.
        CorruptWeights: on damaged files.
        NotSupported: on other pipelines.
    """
    if isinstance(source, Model):
        return source
    named = {"steps": steps, "guidance": guidance, "scheduler": scheduler, "size": size, "dtype": dtype}
    given = settings | named | {"device": device, "offload": offload}
    chosen = {name: value for name, value in given.items() if value is not None}
    card, placement, dtype = resolve(source, chosen)
    if isinstance(source, str | Path):
        pipe = build(card, dtype, tuple(ADAPTERS))
        return assemble(pipe, card, placement, move=True)
    return assemble(source, card, placement, move=placement.device is not None or placement.offload != "none")


def assemble(pipe: Any, card: Card, placement: Placement, *, move: bool) -> Model:
    """The model of a pipeline run as a card says; `move` brings it where the placement says."""
    kind = next((cls.__name__ for cls in type(pipe).__mro__ if cls.__name__ in ADAPTERS), None)
    if kind is None:
        raise NotSupported(
            f"model {card.name!r} is a {type(pipe).__name__}; noisekit runs {', '.join(ADAPTERS)} so far"
        )
    if card.scheduler is not None:
        # The networks are shared; whoever has the pipeline keeps the scheduler that it had.
        pipe = copy.copy(pipe)
        pipe.scheduler = load_sampler(card.scheduler, card.scheduler_options, pipe.scheduler)
    if card.timesteps is not None:
        check_timesteps(pipe.scheduler)
    adapter: type[DiffusersModel] = registry.load("pipeline", kind, ADAPTERS)
    model = adapter(pipe, card)
    placement.arrange(pipe, card.tiling)
    if move:
        placement.move(pipe)
    return model


def resolve(source: Any, given: Mapping[str, Any]) -> tuple[Card, Placement, torch.dtype]:
    """The card of a source with the settings written in its string and those `given`, which go first; its placement; and
    the number type of its networks: what was asked for, else the card's on an accelerator, else the device's.
    """
    card, written = _card_of(source)
    chosen = {**written, **given}
    places = {f.name for f in fields(Placement)}
    for name in chosen:
        if name not in MODEL_SETTINGS:
            raise unknown("setting of a model", name, MODEL_SETTINGS)
    if not isinstance(source, str | Path) and (late := sorted(set(OF_FILES) & set(chosen))):
        raise BadValue(
            f"a pipeline object is taken as it is, and {', '.join(late)} can only be chosen while loading one; give its "
            "folder or hub id instead, or make the change in the pipeline"
        )
    placement = Placement(**{name: value for name, value in chosen.items() if name in places})
    card = card.with_settings(**{name: value for name, value in chosen.items() if name not in places})
    device = placement.target.type
    asked = card.dtype if "dtype" in chosen or device != "cpu" else None
    dtype: torch.dtype = getattr(torch, DTYPES[asked or ("fp16" if device == "cuda" else "fp32")])
    return card, placement, dtype


def _card_of(source: Any) -> tuple[Card, dict[str, Any]]:
    """The card of a source, and the settings that its string brings."""
    if not isinstance(source, str | Path):
        if not hasattr(source, "scheduler"):
            raise BadValue(
                f"{type(source).__name__} is not a model; give a card name, a folder, a hub id or a diffusers pipeline"
            )
        return Card(name=type(source).__name__), {}
    text, settings = _parted(str(source).strip())
    written = _written(str(source), text, settings) if settings else {}
    if text in cards():
        return cards()[text], written
    path = Path(os.path.expanduser(text))
    if os.path.isdir(path):  # False of what is no path at all
        return Card(name=path.resolve().name, repo=str(path)), written
    if path.suffix in SINGLE_FILES:
        raise BadValue(_convert(path))
    if text.count("/") == 1 and not text.startswith((".", "/", "~")):
        return Card(name=text, repo=text), written
    raise unknown("model (nor is it a folder)", text, cards())


def _parted(text: str) -> tuple[str, str]:
    """A model's text as its name and its settings in brackets; brackets in the name of a folder stay there."""
    if _is_here(text):
        return text, ""
    opened = [i for i, letter in enumerate(text) if letter == "("] if text.endswith(")") else []
    for i in reversed(opened):
        if _is_here(text[:i].strip()) and _reads(text[i:]):
            return text[:i].strip(), text[i:]
    return (text[: opened[0]].strip(), text[opened[0] :]) if opened and opened[0] else (text, "")


def _is_here(name: str) -> bool:
    return os.path.exists(os.path.expanduser(name))


def _reads(settings: str) -> bool:
    """Whether a text is one pair of brackets with settings in it."""
    try:
        return bool(registry.parse("model" + settings, "model"))
    except BadValue:
        return False


def _written(source: str, name: str, settings: str) -> dict[str, Any]:
    try:
        expression = registry.parse("model" + settings, "model")
    except BadValue:
        raise BadValue(
            f"model {registry.shortened(source)!r} does not read as a name with literal settings; write it as "
            "'sdxl-turbo(steps=2)'"
        ) from None
    if expression.wrapped:
        raise BadValue(f"model {name!r} is given {expression.wrapped[0]!r} without a setting's name")
    return expression.settings


def _convert(path: Path) -> str:
    """What turns a checkpoint in one file into a folder, whose files can be checked one network at a time."""
    there = "is a checkpoint in one file" if path.is_file() else "is no file here, and would be no folder"
    load = f"diffusers.StableDiffusionXLPipeline.from_single_file({str(path)!r})"
    return (
        f"model {str(path)!r} {there}, and noisekit loads folders in diffusers' format; convert it once by `python -c "
        f'"import diffusers; {load}.save_pretrained({str(path.with_suffix(""))!r})"`, with the pipeline class of its '
        "family, and give the folder"
    )


def split_models(text: str) -> list[str]:
    """The models of a text that lists them with commas between; the commas in a folder's name are part of it."""
    pieces = text.split(",")
    for end in range(len(pieces), 1, -1):
        first = ",".join(pieces[:end]).strip()
        name, settings = _parted(first)
        if _is_here(name) and (not settings or _reads(settings)):
            return [first, *split_models(",".join(pieces[end:]))]
    head, *rest = registry.split(text) or [""]
    remaining = text[text.index(head) + len(head) :].lstrip().removeprefix(",")
    return [head, *(split_models(remaining) if rest else [])] if head else []


# The name that every supported diffusers takes, deprecated in the newest.
warnings.filterwarnings("ignore", "`torch_dtype` is deprecated", FutureWarning)
