"""Rewards by name: which files they are, and a weighted sum of them as one function."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from noisekit import registry
from noisekit.errors import BadValue, NotSupported
from noisekit.paths import BUNDLED, given_path
from noisekit.rewards import published
from noisekit.rewards.base import Precision, Reward
from noisekit.rewards.cards import variants
from noisekit.rewards.expression import parse_coefficients

if TYPE_CHECKING:
    from torch import Tensor


def load_reward(
    name: str, weights: str = "tiny", device: str | torch.device = "cpu", dtype: Precision = "float32"
) -> Reward:
    """The reward called `name`; the same arguments give the same object, until `release` is called.

    Args:
        name: as `noisekit list rewards` has it.
        weights: "tiny", which ships with noisekit; "published", found in the hub's cache; the path of a file in a published
            format, of a checkpoint folder, or of a folder of such folders by name. A formula such as "color_red" has none.
        device: where its network lies.
        dtype: what networks compute in.

    Returns:
        The reward, differentiable in the images.

    Raises:
        BadValue: on unknown names.
        CorruptWeights: on missing or damaged files.
    """
    cls = registry.load("reward", name, registry.REWARDS)
    if cls.formula:
        return _loaded(name, None, "none", torch.device(device), "float32")
    return _loaded(name, *locate(name, str(weights)), torch.device(device), dtype)


def locate(name: str, weights: str) -> tuple[Path, str]:
    """The checkpoint folder of a reward, converted from its published files if need be, and the name of its weights."""
    variant = variants().get(name)
    if weights == "tiny":
        if variant is not None and variant.tiny is None:
            tiny = registry.load("reward", name, registry.REWARDS).name
            raise NotSupported(f"reward {name!r} has no tiny weights; use {tiny!r}, or weights='published'")
        return BUNDLED / (variant.tiny if variant and variant.tiny else name), weights
    if weights == "published":
        if variant is None:
            raise NotSupported(
                f"reward {name!r} has no published checkpoint that noisekit knows; give a path"
            )
        return published.published(name), weights
    path = given_path(weights)
    if path.is_dir():
        own = path / name if (path / name).is_dir() else path
        if not any(file.is_file() for file in own.iterdir()):
            raise BadValue(
                f"weights={weights!r} holds no checkpoint of reward {name!r}, nor a folder {name!r} that does"
            )
        return own, path.resolve().name
    if path.is_file() and variant is not None:
        return published.from_file(name, path), path.name
    raise BadValue(
        f"weights={weights!r} of reward {name!r} is neither 'tiny' nor 'published', and no file or folder is there"
    )


def check_weights(names: Sequence[str], weights: str) -> None:
    """Raise what loading some of these rewards would raise for want of files, before any is loaded and all at once."""
    if weights == "published":
        published.require(names)
    for name in names:
        if not registry.load("reward", name, registry.REWARDS).formula:
            locate(name, weights)


def release() -> None:
    """Forget every reward that was loaded; its memory is free where nobody else holds it."""
    if _loaded.cache_info().currsize:
        _loaded.cache_clear()
        gc.collect()  # a reward and its cache of prompts hold each other


@cache
def _loaded(name: str, folder: Path | None, weights: str, device: torch.device, dtype: Precision) -> Reward:
    cls, variant = registry.load("reward", name, registry.REWARDS), variants().get(name)
    if variant is None:  # a formula, or a reward of an installed package
        return cls(folder, weights, device)
    edition = variant.version if weights == "published" else ""
    return cls(folder, weights, device, name=name, edition=edition, dtype=dtype, **variant.settings)


def with_tiny(expression: str) -> str:
    """The expression with every reward that has no tiny weights replaced by that of its class which has them."""
    terms = []
    for name, coefficient in parse_coefficients(expression).items():
        variant = variants().get(name)
        lacking = variant is not None and variant.tiny is None
        own = registry.load("reward", name, registry.REWARDS).name if lacking else name
        terms.append(f"{own}:{coefficient:g}")
    return " + ".join(terms)


def weighted_reward(
    expression: str, *, weights: str, device: str | torch.device, dtype: Precision = "float32"
) -> Callable[[Tensor, Sequence[str]], Tensor]:
    """The weighted sum that an expression describes, as a function of images (B, 3, H, W) and prompts, giving (B,)."""
    parts = [
        (coefficient, load_reward(name, weights, device, dtype))
        for name, coefficient in parse_coefficients(expression).items()
    ]

    def total(images: Tensor, prompts: Sequence[str]) -> Tensor:
        return torch.stack([coefficient * reward(images, prompts) for coefficient, reward in parts]).sum(0)

    return total
