"""The colour criterion: how much redder, greener or bluer an image is than the rest of its light.

    color_red = mean over pixels of  R − G − B                                             −2 … 1

and so for the other two. It shows that a noise can be climbed towards anything that has a gradient, whatever the prompt
says: ReNO's authors (arXiv 2406.04312) use the sum over pixels, which is H·W times this mean and grows with the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from noisekit.rewards.base import Reward


class Color(Reward):
    """Base of the three: one channel minus the two others."""

    version = "channel minus the others, mean over pixels"
    reads_prompt = False
    formula = True
    bounds = (-2.0, 1.0)
    family = "none"

    channel: ClassVar[int]

    def score(self, pixels: Tensor, prompts: Sequence[str]) -> Tensor:
        return (2 * pixels[:, self.channel] - pixels.sum(1)).mean((1, 2))


class Red(Color):
    name = "color_red"
    channel = 0


class Green(Color):
    name = "color_green"
    channel = 1


class Blue(Color):
    name = "color_blue"
    channel = 2
