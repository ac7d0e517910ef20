"""What SV3D-U differs by from Stable Video Diffusion: the guidance of each frame, and one number that the network is told.

    linear      w_f = 1 + (ω − 1)·f/(F − 1)                          SVD: the first frame is the image, later ones are
    led more triangle    w_f = 1 + (ω − 1)·2·|v − ⌊v + ½⌋|,  v = f/(F − 1)    SV3D: most at the back, where the image
    says least

(Voleti et al. 2024, "SV3D", arXiv 2403.12008, as its public code draws the triangle.) The frames are one turn; frame f
is seen from azimuth (f + 1)·360°/F, and the last from where the image was.
"""

from __future__ import annotations

from typing import Any, Self, assert_never

import torch
from diffusers import StableVideoDiffusionPipeline
from torch import Tensor

from noisekit.models.cards import FrameGuidance


def guidance_by_frame(most: float, frames: int, course: FrameGuidance) -> Tensor:
    """w (F,) for the scale ω."""
    match course:
        case "linear":
            return torch.linspace(1.0, most, frames)
        case "triangle":
            v = torch.linspace(0.0, 1.0, frames)
            return 1 + (most - 1) * 2 * (v - (v + 0.5).floor()).abs()
        case other:
            assert_never(other)


class OrbitPipeline(StableVideoDiffusionPipeline):
    """diffusers' pipeline for networks that are told one number, and for either course of guidance."""

    course: FrameGuidance

    @classmethod
    def around(cls, pipe: Any, course: FrameGuidance) -> Self:
        """A pipeline with the components of another."""
        own = cls(**pipe.components)
        own.course = course
        return own

    @property
    def guidance_scale(self) -> Any:
        """What the call reads at every step, of the linear course that it sets up."""
        scale = self._guidance_scale
        if not isinstance(scale, Tensor):
            return scale
        most = float(scale.flatten(1)[0, -1])
        weights = guidance_by_frame(most, scale.shape[1], self.course)
        return weights.to(scale).view(1, -1, 1, 1, 1).expand_as(scale)

    @property
    def do_classifier_free_guidance(self) -> bool:
        """Whether ω is above 1, though no frame's own weight may be."""
        scale = self._guidance_scale
        return bool((scale.max() if isinstance(scale, Tensor) else scale) > 1)

    def _get_add_time_ids(
        self,
        fps: int,
        motion_bucket_id: int,
        noise_aug_strength: float,
        dtype: torch.dtype,
        batch_size: int,
        num_videos_per_prompt: int,
        do_classifier_free_guidance: bool,
    ) -> Tensor:
        told = [fps, motion_bucket_id, noise_aug_strength]
        one = self.unet.add_embedding.linear_1.in_features == self.unet.config.addition_time_embed_dim
        ids = torch.tensor([told[2:] if one else told], dtype=dtype)
        return ids.repeat((1 + do_classifier_free_guidance) * batch_size * num_videos_per_prompt, 1)
