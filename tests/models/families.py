"""The transformer families at toy size, and how a test runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from diffusers import DDPMScheduler
from torch import Tensor

from noisekit.models import load_model
from noisekit.noise import NoiseSource
from tests.pipelines import (
    chroma,
    flux,
    flux2,
    flux2_dev,
    hunyuan,
    krea2,
    lumina2,
    pixart,
    qwen_image,
    sana,
    sd3,
    z_image,
)

PROMPTS = ["a red circle", "two blue squares", "a"]
DMD = {"beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear", "clip_sample": False}


@dataclass(frozen=True)
class Family:
    """How a family's toy pipeline is made and run.

    wide: a size that is not square. twice: whether guidance doubles. fewest: steps that its scheduler can take.
    """

    make: Callable[[], Any]
    settings: Mapping[str, Any] = field(default_factory=lambda: {"tokens": 16})
    wide: tuple[int, int] = (16, 32)
    twice: bool = True
    fewest: int = 1


FAMILIES = {
    "flux-dev": Family(flux, twice=False),
    "flux-schnell": Family(lambda: flux(distilled=False), twice=False),
    "sd3": Family(sd3),
    "sd3-without-t5": Family(lambda: sd3(with_t5=False)),
    "sd3-shifted": Family(lambda: sd3(use_dynamic_shifting=True, base_image_seq_len=4, max_image_seq_len=64)),
    "sana": Family(sana, wide=(32, 64)),
    "sana-sprint": Family(lambda: sana(sprint=True), wide=(32, 64), twice=False),
    "pixart": Family(pixart),
    "pixart-1024": Family(lambda: pixart(sample_size=128), {"tokens": 16, "size": 16}),
    "pixart-dmd": Family(lambda: pixart(scheduler=DDPMScheduler(**DMD))),
    "pixart-sigma": Family(lambda: pixart(sample_size=128, sigma=True), {"tokens": 16, "size": 16}),
    "hunyuan": Family(hunyuan, {}, wide=(32, 64)),
    "z-image": Family(z_image, {"tokens": 16, "size": 16}),
    "flux2-klein": Family(lambda: flux2(distilled=False), {"tokens": 24, "size": 16}),
    "flux2-dev": Family(flux2_dev, {"tokens": 40, "size": 16}, twice=False),
    "qwen-image": Family(qwen_image, fewest=2),
    "krea2": Family(krea2, {"tokens": 16, "size": 16}),
    "chroma": Family(chroma),
    "lumina2": Family(lumina2, {"tokens": 48}, wide=(32, 64)),
}

#: Families that stand for all where a law is of what they share: a flow, one with a decoder of its own, one of diffusion.
TELLING = ("sd3", "sana", "pixart")

FLOWS = ["flux-dev", "flux-schnell", "sd3", "sd3-shifted", "sana"]
FLOWS += ["z-image", "flux2-klein", "flux2-dev", "qwen-image", "krea2", "chroma", "lumina2"]


def telling(names: Iterable[str] = FAMILIES) -> list[Any]:
    """Names for `parametrize`, the others than `TELLING` marked slow."""
    return [name if name in TELLING else pytest.param(name, marks=pytest.mark.slow) for name in names]


def loaded(family: Family, pipe: Any, **settings: Any) -> Any:
    """The family's model around a pipeline, in steps and guidance of its own."""
    return load_model(pipe, **(dict(family.settings) | settings))


def noise_of(model: Any, number: int = 3) -> Tensor:
    """The standard noise of the first prompts."""
    return NoiseSource(model.noise_shape, PROMPTS[:number], [0] * number).initial


def images(model: Any, noise: Tensor, prompts: Sequence[str], seeds: Sequence[int]) -> Tensor:
    """What the model makes of noise."""
    generators = NoiseSource(model.noise_shape, prompts, seeds).sampler_generators()
    made: Tensor = model.decode(model.sample(noise, model.encode(prompts), generators))
    return made


def own_call(model: Any, noise: Tensor, prompts: Sequence[str], seeds: Sequence[int]) -> Tensor:
    """What the model's own pipeline makes of noise, called as a user calls it."""
    generators = NoiseSource(model.noise_shape, prompts, seeds).sampler_generators()
    latents = model.pipe_latents(noise)
    inputs = model.call_inputs(prompts) | model.call_kwargs
    made: Tensor = model.pipe(latents=latents, generator=generators, **inputs).images
    return made
