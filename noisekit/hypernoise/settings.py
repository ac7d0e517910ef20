"""How a noise hypernetwork is trained on rewards: every setting, its range, and what the paper used.

    rate of update u     lr · min(1, (u + 1) / warm_up, (updates − u) / decay)        u = 0…updates − 1

Eyring et al. 2025, "Noise Hypernetworks", arXiv 2508.09968: ReNO's four rewards; SGD with momentum .9, lr 1e-3, constant
after warm-up, gradients clipped at norm 1, bf16, batches of 54 (SANA-Sprint) or 48 (SD-Turbo), 25 to 30 epochs over 70,000
prompts, LoRA of rank 128.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from noisekit.errors import BadValue
from noisekit.hypernoise.objective import Form
from noisekit.hypernoise.predictor import Kind
from noisekit.rewards import parse_coefficients

#: ReNO's weighted sum, which the paper trains on.
REWARDS = "hps:5.0 + image_reward:1.0 + clip_score:0.01 + pick_score:0.05"

_AT_LEAST: dict[str, float] = {
    "updates": 1,
    "batch": 1,
    "accumulate": 1,
    "rank": 1,
    "every": 1,
    "warm_up": 0,
    "decay": 0,
    "held_out": 1,
    "strength": 0,
}


@dataclass(frozen=True)
class RewardTraining:
    """How to train.

    Args:
        network: "lora", low-rank layers in the denoiser, or "copy", all of it (see `predictor`).
        rank: of lora.
        rewards: the weighted sum that is climbed.
        watched: the weighted sum, on held-out prompts, that decides which weights are kept (None: that which is climbed).
            Its rewards count as optimised too.
        form: of the regulariser, "mean" or "sum" (see `objective`).
        strength: λ of the regulariser.
        most: norm at which the reward's gradient to one sample's Δ is clipped, m (None: it is not, as in the paper).
        updates: of the weights.
        batch: samples of an update, over all processes.
        accumulate: parts of a batch that are computed one after another, for memory.
        optimiser: "adamw" (without decay of weights) or "sgd" (with momentum .9).
        lr: the learning rate.
        warm_up: updates over which it rises.
        decay: updates at the end over which it falls to 0.
        clip: the largest norm of a gradient.
        average: how much of the averaged weights an update leaves.
        every: updates between two looks at the held-out prompts, and two saves.
        patience: looks without a better one after which the training ends (None: it goes on).
        held_out: prompts that are not trained on, at most a tenth of all.
        precision: what networks compute in while training: "no" (fp32), "bf16" or "fp16".
        seed: of weights, split and batches.
    """

    network: Kind = "lora"
    rank: int = 128
    rewards: str = REWARDS
    watched: str | None = None
    form: Form = "mean"
    strength: float = 1.0
    most: float | None = None
    updates: int = 10_000
    batch: int = 16
    accumulate: int = 1
    optimiser: Literal["adamw", "sgd"] = "adamw"
    lr: float = 5e-4
    warm_up: int = 100
    decay: int = 1_000
    clip: float = 1.0
    average: float = 0.998
    every: int = 200
    patience: int | None = None
    held_out: int = 200
    precision: Literal["no", "bf16", "fp16"] = "no"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in _AT_LEAST.items():
            if not getattr(self, name) >= least:
                raise BadValue(f"{name}={getattr(self, name)!r} of learn rewards is below {least:g}")
        for name, kind in {"network": Kind, "form": Form}.items():
            if getattr(self, name) not in get_args(kind):
                raise BadValue(f"{name}={getattr(self, name)!r} is not one of {', '.join(get_args(kind))}")
        for name, choices in {"optimiser": ("adamw", "sgd"), "precision": ("no", "bf16", "fp16")}.items():
            if getattr(self, name) not in choices:
                raise BadValue(f"{name}={getattr(self, name)!r} is not one of {', '.join(choices)}")
        for name in ("lr", "clip", "most"):
            if getattr(self, name) is not None and not 0 < getattr(self, name) < math.inf:
                raise BadValue(f"{name}={getattr(self, name)!r} of learn rewards is not above 0")
        if not 0 <= self.average < 1:
            raise BadValue(f"average={self.average!r} of learn rewards is not from 0 to below 1")
        if self.patience is not None and self.patience < 1:
            raise BadValue(f"patience={self.patience!r} of learn rewards is below 1")
        if self.batch % self.accumulate:
            raise BadValue(
                f"batch={self.batch} of learn rewards is no multiple of accumulate={self.accumulate}"
            )
        for expression in (self.rewards, self.watched or self.rewards):
            parse_coefficients(expression)

    @property
    def optimised(self) -> list[str]:
        """The rewards that decide the weights."""
        watched = parse_coefficients(self.watched) if self.watched else {}
        return sorted({*parse_coefficients(self.rewards), *watched})

    def rate(self, update: int) -> float:
        """The learning rate of an update."""
        rising = (update + 1) / max(1, self.warm_up)
        return self.lr * min(1.0, rising, (self.updates - update) / max(1, self.decay))
