"""Model cards: what to load and how to run it, as data (cards.yaml)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import PurePath
from typing import Any, Literal, get_args

from noisekit.errors import BadValue, unknown
from noisekit.files import shipped_yaml

#: Number types by the short names that cards and users give; the long ones are valid too.
DTYPES: Mapping[str, str] = {"fp16": "float16", "bf16": "bfloat16", "fp32": "float32", "fp64": "float64"}

#: How the guidance of a sequence runs over its frames; see `sv3d`.
FrameGuidance = Literal["linear", "triangle"]

#: Settings that only models of sequences have.
FRAME_SETTINGS = ("frames", "frame_guidance", "fps", "motion_bucket", "noise_aug", "decode_chunk")

#: The settings of a card that a user may replace and that decide the image: they stand in the labels of models.
SETTINGS = (
    "steps",
    "guidance",
    "eta",
    "scheduler",
    "timesteps",
    "size",
    "tokens",
    "dtype",
    "revision",
    "variant",
    "unet",
    "vae",
    "controlnet",
    "control_scale",
    "lora",
    "lora_scale",
    "tiling",
    *FRAME_SETTINGS,
)


#: Steps of a sampler, pixels of a side and frames beyond which nothing is made.
MOST_STEPS, LARGEST_SIDE, MOST_FRAMES = 10_000, 16_384, 1_000


@dataclass(frozen=True)
class Card:
    """How a model is loaded and run. Fields left out of a card fall back to what the pipeline's files say.

    Parts that come from elsewhere are written as `Place` reads them: "owner/name@revision:path", a folder, or one
    .safetensors file.

    Args:
        name: by which it is asked for.
        repo: hub id of the weights, or a path relative to the bundled ones.
        checkpoint: the one file of the repository that holds all of it, where that is no folder; see `conversion`.
        bundled: whether they come with noisekit.
        revision: of the repository.
        variant: of its files, such as "fp16".
        unet: a denoiser from elsewhere.
        vae: an autoencoder from elsewhere.
        controlnet: a ControlNet, whose image every prompt then brings.
        control_scale: its strength.
        lora: an adapter, fused into the networks.
        lora_scale: its strength.
        dtype: of the networks on an accelerator (None: fp16).
        vae_dtype: of the autoencoder, where it differs.
        scheduler: a sampler's short name or a diffusers class (None: the folder's own).
        scheduler_options: replace values of its configuration.
        steps: of the sampler.
        guidance: scale of classifier-free guidance.
        eta: how much of the noise each step draws afresh, from 0 (the sampler as it is) to 1; makes the model "stochastic".
        guidance_embedded: the network is given the guidance scale itself, which then costs no second evaluation.
        timesteps: replace the even spacing of the steps.
        size: pixels, one number or (height, width).
        tokens: how many a long text encoder reads (None: as many as the pipeline's call asks for).
        batch: samples that go through the denoiser at once.
        tiling: decode large images in overlapping tiles.
        frames: that a model of sequences makes (None: as many as its network was made for).
        frame_guidance: how guidance runs over them, "linear" or "triangle" (None: as the network was published).
        fps: frames a second that SVD is told (None: 7).
        motion_bucket: how much motion SVD is told (None: 127).
        noise_aug: deviation of the noise in the image that a model of sequences is given (None: SVD's .02, SV3D's 1e-5).
        decode_chunk: frames that are decoded at once (None: all).
        markers: what the weights were trained for; one step makes "one-step" besides.
        licence: of the weights.
        gated: whether the hub asks to accept it first.
        gigabytes: of the files that are needed, about.
        note: what else has to be known, such as what is not known of it.
        methods: settings by method, which take precedence over the papers'.
    """

    name: str
    repo: str = ""
    checkpoint: str | None = None
    bundled: bool = False
    revision: str | None = None
    variant: str | None = None
    unet: str | None = None
    vae: str | None = None
    controlnet: str | None = None
    control_scale: float = 1.0
    lora: str | None = None
    lora_scale: float = 1.0
    dtype: str | None = None
    vae_dtype: str | None = None
    scheduler: str | None = None
    scheduler_options: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 50
    guidance: float = 7.5
    eta: float = 0.0
    guidance_embedded: bool = False
    timesteps: tuple[int, ...] | None = None
    size: int | tuple[int, int] | None = None
    tokens: int | None = None
    batch: int = 8
    tiling: bool = False
    frames: int | None = None
    frame_guidance: FrameGuidance | None = None
    fps: int | None = None
    motion_bucket: int | None = None
    noise_aug: float | None = None
    decode_chunk: int | None = None
    markers: tuple[str, ...] = ("invertible", "differentiable")
    licence: str = ""
    gated: bool = False
    gigabytes: float | None = None
    note: str = ""
    methods: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def abilities(self) -> tuple[str, ...]:
        """The markers of the model at this number of steps and this η."""
        one_step = ("one-step",) if self.steps == 1 else ()
        return (*self.markers, *one_step, *(("stochastic",) if self.eta > 0 else ()))

    def with_settings(self, **settings: Any) -> Card:
        """A copy with the settings that are not None replaced, all of them checked.

        Other timesteps bring their own number of steps, and another number of steps drops the card's timesteps.
        """
        given = {name: _plain(value) for name, value in settings.items() if value is not None}
        if given.get("timesteps") is not None:
            given = {"steps": len(given["timesteps"])} | given
        elif self.timesteps and given.get("steps", self.steps) != self.steps:
            given["timesteps"] = None
        card = replace(self, **given)
        card._check()
        types: dict[str, Any] = {
            name: number_type(getattr(card, name), card.name) for name in ("dtype", "vae_dtype")
        }
        return replace(card, **types)

    def _check(self) -> None:
        if not _whole(self.steps) or not 1 <= self.steps <= MOST_STEPS:
            raise BadValue(
                f"steps={self.steps!r} of model {self.name!r} is not a whole number of 1 or more, up to {MOST_STEPS}"
            )
        if not 0 <= _number(self.guidance, "guidance", self.name) < 1000:
            raise BadValue(f"guidance={self.guidance!r} of model {self.name!r} is outside 0…1000")
        if not 0 <= _number(self.eta, "eta", self.name) <= 1:
            raise BadValue(f"eta={self.eta!r} of model {self.name!r} is outside 0…1")
        if self.tokens is not None and not (_whole(self.tokens) and self.tokens > 0):
            raise BadValue(
                f"tokens={self.tokens!r} of model {self.name!r} is not a whole number of 1 or more"
            )
        for name in ("revision", "variant", "unet", "vae", "controlnet", "lora"):
            if not isinstance(getattr(self, name), str | None):
                raise BadValue(f"{name}={getattr(self, name)!r} of model {self.name!r} is not a text")
        for name in ("lora_scale", "control_scale"):
            _number(getattr(self, name), name, self.name)
        for name in ("frames", "fps", "decode_chunk"):
            if (value := getattr(self, name)) is not None and not (
                _whole(value) and 1 <= value <= MOST_FRAMES
            ):
                raise BadValue(
                    f"{name}={value!r} of model {self.name!r} is not a whole number of 1 or more, up to {MOST_FRAMES}"
                )
        if self.motion_bucket is not None and not (
            _whole(self.motion_bucket) and 0 <= self.motion_bucket < 1000
        ):
            raise BadValue(
                f"motion_bucket={self.motion_bucket!r} of model {self.name!r} is no whole number below 1000"
            )
        if self.noise_aug is not None and not 0 <= _number(self.noise_aug, "noise_aug", self.name) <= 10:
            raise BadValue(f"noise_aug={self.noise_aug!r} of model {self.name!r} is outside 0…10")
        if self.frame_guidance not in (None, *get_args(FrameGuidance)):
            raise unknown(
                f"frame_guidance of model {self.name!r}", str(self.frame_guidance), get_args(FrameGuidance)
            )
        if self.timesteps is not None:
            falling = all(
                later < earlier for earlier, later in zip(self.timesteps, self.timesteps[1:], strict=False)
            )
            if not (self.timesteps and all(_whole(t) and 0 <= t < 1000 for t in self.timesteps) and falling):
                raise BadValue(
                    f"timesteps={list(self.timesteps)!r} of model {self.name!r} are not whole numbers that fall, from at "
                    "most 999"
                )
            if len(self.timesteps) != self.steps:
                raise BadValue(
                    f"model {self.name!r} is given {len(self.timesteps)} timesteps and steps={self.steps}; leave steps out"
                )
        sides = (self.size,) if isinstance(self.size, int) else self.size or ()
        if self.size is not None and not (
            len(sides) in (1, 2) and all(_whole(side) and 0 < side <= LARGEST_SIDE for side in sides)
        ):
            raise BadValue(
                f"size={self.size!r} of model {self.name!r} is neither a number of pixels nor (height, width), up to "
                f"{LARGEST_SIDE}"
            )


def _plain(value: Any) -> Any:
    """Lists, as YAML and strings bring them, become tuples, and paths texts."""
    return str(value) if isinstance(value, PurePath) else tuple(value) if isinstance(value, list) else value


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any, name: str, model: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadValue(f"{name}={value!r} of model {model!r} is not a number")
    return value


def number_type(name: Any, model: str) -> str | None:
    """The short name of a number type given as a short or long name or as a torch.dtype; `BadValue` on others."""
    if name is None:
        return None
    given = str(name).removeprefix("torch.")
    for short, long in DTYPES.items():
        if given in (short, long):
            return short
    raise unknown(f"dtype of model {model!r}", given, [*DTYPES, *DTYPES.values()])


def changed_settings(given: Card) -> dict[str, Any]:
    """The settings in which a card differs from the one that ships under its name, else from the defaults."""
    shipped = cards().get(given.name)
    # A folder may bear the name of a card: it is not run as that card says.
    usual = shipped if shipped is not None and shipped.repo == given.repo else Card(given.name)
    return {name: getattr(given, name) for name in SETTINGS if getattr(given, name) != getattr(usual, name)}


@cache
def cards() -> Mapping[str, Card]:
    """Every card that ships with noisekit, by name."""
    known = {f.name for f in fields(Card)}
    result = {}
    for name, entry in shipped_yaml("models/cards.yaml").items():
        if extra := set(entry) - known:
            raise BadValue(f"card {name!r} has unknown fields {sorted(extra)} (known: {sorted(known)})")
        plain = {key: _plain(value) for key, value in entry.items()}
        result[name] = Card(name=name, **plain).with_settings()
    return result
