"""Rewards: differentiable scores of images, loaded by name.

reward = load_reward("clip_score")                                     # the tiny one that ships with noisekit
reward = load_reward("hps", weights="published", device="cuda")        # after `noisekit rewards fetch hps`
scores = reward(images, prompts)                                       # (B, 3, H, W) in [0, 1] -> (B,)
total = weighted_reward("clip_score:0.01 + aesthetic:0.3", weights="tiny", device="cpu")
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from noisekit.rewards.base import Precision, Reward, Weights
    from noisekit.rewards.expression import parse_coefficients
    from noisekit.rewards.loading import (
        BUNDLED,
        check_weights,
        load_reward,
        locate,
        release,
        weighted_reward,
        with_tiny,
    )

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "base": ["Precision", "Reward", "Weights"],
        "expression": ["parse_coefficients"],
        "loading": [
            "BUNDLED",
            "check_weights",
            "load_reward",
            "locate",
            "release",
            "weighted_reward",
            "with_tiny",
        ],
    },
)

__all__ = [
    "BUNDLED",
    "Precision",
    "Reward",
    "Weights",
    "check_weights",
    "load_reward",
    "locate",
    "parse_coefficients",
    "release",
    "weighted_reward",
    "with_tiny",
]
