"""SDXL led by a ControlNet: a diffusers StableDiffusionXLControlNetPipeline (arXiv 2302.05543).

A copy of the UNet's first half reads the control image (B, 3, H, W) beside state, timestep and text, and adds
`control_scale` times what it finds to the UNet's skip connections, with and without the prompt alike. The control image is
part of the prompt: see `ControlledPrompt`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from noisekit.errors import BadValue
from noisekit.flops import SPECIMEN
from noisekit.image_prompts import ControlledPrompt
from noisekit.models.base import Conditioning
from noisekit.models.sdxl import SDXLModel
from noisekit.registry import shortened

if TYPE_CHECKING:
    from PIL.Image import Image


class ControlledSDXL(SDXLModel):
    """The UNet with a ControlNet beside it."""

    def embed(self, prompts: Sequence[str]) -> Mapping[str, Tensor]:
        images = self.control_images(prompts)
        height, width = self.size
        control = self.pipe.control_image_processor.preprocess(images, height=height, width=width)
        return {**super().embed(prompts), "control": control.to(self.denoiser.dtype)}

    def call_inputs(self, prompts: Sequence[str]) -> dict[str, Any]:
        return super().call_inputs(prompts) | {"image": self.control_images(prompts)}

    def control_images(self, prompts: Sequence[str]) -> list[Image]:
        """The control images of prompts as they are, for the `image` argument of the pipeline's own call."""
        for prompt in prompts:
            if not isinstance(prompt, ControlledPrompt):
                raise BadValue(
                    f"model {self.name!r} follows a control image, and prompt {shortened(str(prompt))!r} has none; give a "
                    "prompt file with the columns prompt and control, or ControlledPrompt(text, image)"
                )
        return [prompt.image for prompt in prompts if isinstance(prompt, ControlledPrompt)]

    def network(self, x: Tensor, t: Tensor, text: Mapping[str, Tensor], guidance: float) -> Tensor:
        told = self.added_conditions(text)
        down, middle = self.pipe.controlnet(
            x,
            t,
            controlnet_cond=text["control"],
            conditioning_scale=self.card.control_scale,
            **told,
            return_dict=False,
        )
        return self.denoiser(
            x,
            t,
            timestep_cond=self.scale(x, guidance),
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
            **told,
            return_dict=False,
        )[0]

    def specimen_conditioning(self) -> Conditioning:
        from PIL import Image

        height, width = self.size
        return self.encode([ControlledPrompt(SPECIMEN, Image.new("RGB", (width, height)))])

    @property
    def identity(self) -> dict[str, Any]:
        return super().identity | {"control_scale": self.card.control_scale}

    @property
    def call_kwargs(self) -> dict[str, Any]:
        return super().call_kwargs | {"controlnet_conditioning_scale": self.card.control_scale}
