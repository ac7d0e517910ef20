"""A metric judges images by their prompts: M(x, c) in ℝᵏ, its score first and then the parts of it, higher being better.

    M(x, c) = score(⌊255 x⌉ / 255, c)        where the metric applies to c, else NaN in every column

An image is judged as the 8-bit file that a person gets, whatever a method computed inside. Of a sequence of frames each
figure is the mean over its frames, unless the metric judges sequences (`reads_frames`). A metric defines three members:
`info`, what stands beside its numbers; `identity`, what decides them besides image and prompt; and `score`. What comes with
a prompt in its file, such as a list of questions or the path of a reference image, is in `Prompt.metadata`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self, final

import torch
from torch import Tensor

from noisekit.errors import BadValue
from noisekit.metrics.info import MetricInfo
from noisekit.prompts import Prompt
from noisekit.rewards import Precision
from noisekit.rewards.base import checked_images, single_frames


class Metric(ABC):
    """Base of every metric that judges images one by one, whatever their batch."""

    #: Whether the score depends on the prompt.
    reads_prompt: bool = True
    #: Whether it depends on what else is known of the prompt, `Prompt.metadata`: another record is scored anew.
    reads_record: bool = False
    #: Whether it judges a sequence of frames as a whole: `score` is then given (B, F, 3, H, W).
    reads_frames: bool = False

    @classmethod
    def load(cls, weights: str, device: str | torch.device, dtype: Precision) -> Self:
        """The metric with some of its weights; by default it has none.

        Args:
            weights: "tiny", "published", or the path of a file or folder.
            device: Where its networks run.
            dtype: What they compute in.

        Raises:
            NotSupported: There are no such weights.
            CorruptWeights: They are missing or damaged.
        """
        return cls()

    @classmethod
    def applies(cls, prompt: Prompt) -> bool:
        """Whether it has anything to say of images of this prompt."""
        return True

    @property
    @abstractmethod
    def info(self) -> MetricInfo:
        """Name, definition, range, tie and parts."""

    @property
    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """Everything that decides a score besides image and prompt, as JSON values: name, version, hash of the weights."""

    @abstractmethod
    def score(self, images: Tensor, prompts: Sequence[Prompt]) -> Tensor:
        """Judge images one by one, without gradient.

        Args:
            images: (B, 3, H, W) in [0, 1], in steps of 1/255, on whatever device they came from.
            prompts: The prompt of each.

        Returns:
            Figures (B, columns), NaN where the metric cannot judge an image.
        """

    def cut(self, prompts: Sequence[str]) -> list[int]:
        """How many tokens of each prompt it cannot read."""
        return [0] * len(prompts)

    @final
    @torch.no_grad()
    def __call__(self, images: Tensor, prompts: Sequence[str | Prompt]) -> Tensor:
        """Judge images.

        Args:
            images: (B, 3, H, W) floats in [0, 1], or frames (B, F, 3, H, W).
            prompts: The prompt of each, as a text, or with its record where the metric reads that.

        Returns:
            Figures (B, columns), `info.columns` naming them; NaN where the metric says nothing.

        Raises:
            BadValue: Images are of another shape or range, or have not one prompt each; or `score` gives another shape.
        """
        given = [prompt if isinstance(prompt, Prompt) else Prompt(prompt) for prompt in prompts]
        checked_images(images, prompts if isinstance(prompts, str) else [one.text for one in given])
        own = [i for i, prompt in enumerate(given) if self.applies(prompt)]
        whole = (len(given), len(self.info.columns))
        if not own:
            return torch.full(whole, torch.nan)
        stored = images[own].float().clamp(0, 1).mul(255).round().div(255)
        figures = self._figures(stored, [given[i] for i in own]).detach().cpu()
        if figures.shape != (len(own), whole[1]):
            raise BadValue(
                f"metric {self.info.name!r} gave figures of shape {tuple(figures.shape)} for {len(own)} images, not "
                f"{(len(own), whole[1])}: one column each for {', '.join(self.info.columns)}"
            )
        result = figures.new_full(whole, torch.nan)
        result[own] = figures
        return result

    def _figures(self, images: Tensor, prompts: Sequence[Prompt]) -> Tensor:
        """Of each image, or of frame by frame their mean."""
        if images.dim() == 4 or self.reads_frames:
            return self.score(images, prompts)
        return self.score(*single_frames(images, prompts)).unflatten(0, images.shape[:2]).mean(1)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.info})"
