"""Rewards: differentiable scores of images, loaded by name.

reward = load_reward("clip_score")                                     # the tiny one that ships with noisekit
scores = reward(images, prompts)                                       # (B, 3, H, W) in [0, 1] -> (B,)
total = weighted_reward("clip_score:0.01 + aesthetic:0.3", weights="tiny", device="cpu")
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import torch

from noisekit import registry
from noisekit.errors import BadValue, NotSupported
from noisekit.rewards.base import Reward, Weights
from noisekit.rewards.expression import parse_weights

if TYPE_CHECKING:
    from torch import Tensor

#: Folder of the weights that ship with noisekit.
BUNDLED = Path(str(files("noisekit"))) / "tiny" / "weights"


def load_reward(name: str, weights: str = "tiny", device: str | torch.device = "cpu") -> Reward:
    """The reward called `name`; the same arguments give the same object.

    weights: "tiny", which ships with noisekit, or "published"; a formula such as "color_red" has none. Raises `BadValue` on
    unknown names and `CorruptWeights` on missing or damaged files.
    """
    if weights not in get_args(Weights):
        raise BadValue(f"weights={weights!r} of reward {name!r} is neither 'tiny' nor 'published'")
    cls = registry.load("reward", name, registry.REWARDS)
    if cls.formula:
        return _loaded(cls, None, "none", torch.device(device))
    if weights == "published":
        raise NotSupported(
            f"the published checkpoint of reward {name!r} is not supported by this release; use weights='tiny'"
        )
    return _loaded(cls, BUNDLED / name, weights, torch.device(device))


@cache
def _loaded(cls: type[Reward], folder: Path | None, weights: str, device: torch.device) -> Reward:
    return cls(folder, weights, device)


def weighted_reward(
    expression: str, *, weights: str, device: str | torch.device
) -> Callable[[Tensor, Sequence[str]], Tensor]:
    """The weighted sum that an expression describes, as a function of images (B, 3, H, W) and prompts, giving (B,)."""
    parts = [
        (weight, load_reward(name, weights, device)) for name, weight in parse_weights(expression).items()
    ]

    def total(images: Tensor, prompts: Sequence[str]) -> Tensor:
        return torch.stack([weight * reward(images, prompts) for weight, reward in parts]).sum(0)

    return total


__all__ = ["BUNDLED", "Reward", "Weights", "load_reward", "parse_weights", "weighted_reward"]
