"""Stable Video Diffusion and SV3D-U: a diffusers StableVideoDiffusionPipeline, by which an image becomes F frames.

    u = UNet([x, image latent], ¼·ln σ, image token, numbers)        x (B, F, C, h, w), one call a clip
    u ← u(∅) + w_f·(u(image) − u(∅))        w_f from 1 to ω over the frames, see `guidance_by_frame`

The image is read twice: as one token of a CLIP vision tower, and as the mode of its latent, beside every frame's. The
latent's pixels get `noise_aug`·N(0, I) first, drawn for the image alone, so that it is a part of the prompt. No image
is zeros in both places. Beside σ the network is told numbers: SVD frames a second less one, a motion bucket and
`noise_aug`; SV3D-U the last alone.

The sampler is Euler's in the EDM form on Karras' levels, whose network is told ¼·ln σ; the states of the toolkit are
its states divided by √(σ² + 1), of unit variance. Evaluations count by clip.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from diffusers import AutoencoderKLTemporalDecoder
from torch import Tensor

from noisekit.errors import BadValue, NotSupported
from noisekit.image_prompts import ImagePrompt
from noisekit.models.base import Conditioning, Model
from noisekit.models.cards import Card, FrameGuidance
from noisekit.models.memory import recomputed
from noisekit.models.pipeline import DiffusersModel
from noisekit.models.precision import overflows, widen
from noisekit.models.sv3d import OrbitPipeline, guidance_by_frame
from noisekit.noise import generator
from noisekit.registry import shortened
from noisekit.solvers import DiffusionGrid, sampler_grid

if TYPE_CHECKING:
    from PIL.Image import Image


class StableVideo(DiffusersModel):
    """The network of clips, and what tells it of the image."""

    makes_frames = True

    def __init__(self, pipe: Any, card: Card) -> None:
        _check_sampler(pipe.scheduler, card)
        of_orbit = _numbers(pipe.unet, card.name) == 1
        self.frame_guidance: FrameGuidance = card.frame_guidance or ("triangle" if of_orbit else "linear")
        self.noise_aug = card.noise_aug if card.noise_aug is not None else (1e-5 if of_orbit else 0.02)
        self.fps, self.motion_bucket = (
            card.fps or 7,
            127 if card.motion_bucket is None else card.motion_bucket,
        )
        if of_orbit or self.frame_guidance == "triangle":
            pipe = OrbitPipeline.around(pipe, self.frame_guidance)
        if overflows(pipe.vae):
            widen(pipe.vae)
        super().__init__(pipe, card)

    @property
    def usual_size(self) -> tuple[int, int]:
        """That of the pipeline's call; of SV3D-U the UNet's."""
        if isinstance(self.pipe, OrbitPipeline) and self.numbers == [self.noise_aug]:
            return super().usual_size
        call = inspect.signature(type(self.pipe).__call__).parameters
        return call["height"].default, call["width"].default

    def latent_shape(self, height: int, width: int) -> tuple[int, ...]:
        scale = self.pipe.vae_scale_factor
        frames = self.card.frames or self.denoiser.config.num_frames
        return frames, self.denoiser.config.out_channels, height // scale, width // scale

    @property
    def numbers(self) -> list[float]:
        """What the network is told beside σ and the image."""
        if _numbers(self.denoiser, self.name) == 1:
            return [self.noise_aug]
        return [self.fps - 1, self.motion_bucket, self.noise_aug]

    def embed(self, prompts: Sequence[str]) -> Mapping[str, Tensor]:
        pipe, device = self.pipe, self.device
        height, width = self.size
        tokens, latents = [], []
        for prompt, picture in zip(prompts, self.pictures(prompts), strict=True):
            tokens.append(pipe._encode_image([picture], device, 1, False))
            pixels = pipe.video_processor.preprocess(picture, height=height, width=width)
            noise = torch.randn(pixels.shape, generator=_drawing(prompt))
            given = (pixels + self.noise_aug * noise).to(device)
            latents.append(pipe._encode_vae_image(given, device, 1, False).to(tokens[-1].dtype))
        return {"text": torch.cat(tokens), "image": torch.cat(latents)}

    def embed_nothing(self) -> Mapping[str, Tensor]:
        width = self.pipe.image_encoder.config.projection_dim
        zeros = torch.zeros(1, 1, width, device=self.device, dtype=self.pipe.image_encoder.dtype)
        return {"text": zeros, "image": zeros.new_zeros(1, *self.noise_shape[1:])}

    def pictures(self, prompts: Sequence[str]) -> list[Image]:
        """The images of prompts, for the `image` argument of the pipeline's own call."""
        for prompt in prompts:
            if not isinstance(prompt, ImagePrompt):
                raise BadValue(
                    f"model {self.name!r} makes frames of an image, and prompt {shortened(str(prompt))!r} has none; give "
                    "ImagePrompt('', image), or a prompt file with the column image"
                )
        return [prompt.image for prompt in prompts if isinstance(prompt, ImagePrompt)]

    def call_inputs(self, prompts: Sequence[str]) -> dict[str, Any]:
        """The images, and generators in the state from which their noise is drawn."""
        return {"image": self.pictures(prompts), "generator": [_drawing(prompt) for prompt in prompts]}

    def specimen_conditioning(self) -> Conditioning:
        from PIL import Image

        return self.encode([ImagePrompt("", Image.new("RGB", self.size[::-1]))])

    def unread(self, prompts: Sequence[str]) -> dict[str, str]:
        return {}

    def attending(self) -> tuple[Any, Any]:
        return Model.attending(self)

    def network(self, x: Tensor, t: Tensor, text: Mapping[str, Tensor], guidance: float) -> Tensor:
        image = text["image"].to(x.dtype).unsqueeze(1).expand(-1, self.frames, -1, -1, -1)
        numbers = x.new_tensor([self.numbers]).expand(len(x), -1)
        return self.denoiser(
            torch.cat([x, image], 2),
            t,
            encoder_hidden_states=text["text"],
            added_time_ids=numbers,
            return_dict=False,
        )[0]

    def mixed(self, without: Tensor, with_prompt: Tensor, guidance: float) -> Tensor:
        """u(∅) + w_f·(u(c) − u(∅)), by frame."""
        weights = guidance_by_frame(guidance, self.frames, self.frame_guidance).to(without)
        return without + weights.view(1, -1, 1, 1, 1) * (with_prompt - without)

    def grid(self, steps: int) -> DiffusionGrid:
        """The sampler's own levels: there is no other spacing. At the clean end the network is told the least σ."""
        least = self.pipe.scheduler.config.sigma_min
        found = sampler_grid(self.schedule(steps))
        told = found.timesteps[-1].item() if least is None else math.log(least) / 4
        return replace(found, told_clean=told)

    def sampler_grid(self, steps: int) -> DiffusionGrid:
        return self.grid(steps)

    def recomputes(self, network: torch.nn.Module) -> bool:
        """Under checkpointing the network of clips too, whole: what its blocks hand on is large."""
        return super().recomputes(network) or (network is self.denoiser and _checkpointed(network))

    def image(self, latents: Tensor) -> Tensor:
        """Frames (n, F, 3, H, W) in [−1, 1], clip by clip and `decode_chunk` frames at a time."""
        vae = self.pipe.vae
        decode = recomputed(self._frames, _checkpointed(vae))
        scaled = (1 / vae.config.scaling_factor * latents).to(vae.dtype)
        frames = [decode(chunk) for clip in scaled for chunk in clip.split(self.chunk)]
        return torch.cat(frames).unflatten(0, latents.shape[:2])

    @property
    def chunk(self) -> int:
        """Frames that are decoded at once: all, unless the card says otherwise."""
        return self.card.decode_chunk or self.frames

    def _frames(self, latents: Tensor) -> Tensor:
        told = {"num_frames": len(latents)} if self._mixes_frames else {}
        frames: Tensor = self.pipe.vae.decode(latents, **told).sample
        return frames

    @property
    def _mixes_frames(self) -> bool:
        """Whether the decoder lets the frames of a chunk see each other; then the chunk decides the images."""
        return isinstance(self.pipe.vae, AutoencoderKLTemporalDecoder)

    @property
    def identity(self) -> dict[str, Any]:
        read = self.pipe.feature_extractor
        return super().identity | {
            "frame_guidance": self.frame_guidance,
            "numbers": self.numbers,
            "image": {"mean": list(read.image_mean), "std": list(read.image_std), "noise": self.noise_aug},
            **({"decode_chunk": self.chunk} if self._mixes_frames else {}),
        }

    @property
    def call_kwargs(self) -> dict[str, Any]:
        usual = super().call_kwargs
        guidance = usual.pop("guidance_scale")
        return usual | {
            "num_frames": self.frames,
            "min_guidance_scale": 1.0,
            "max_guidance_scale": guidance,
            "fps": self.fps,
            "motion_bucket_id": self.motion_bucket,
            "noise_aug_strength": self.noise_aug,
            "decode_chunk_size": self.chunk,
        }


def _numbers(unet: Any, model: str) -> int:
    """How many numbers a UNet is told beside σ: three by SVD, one by SV3D-U."""
    count = int(unet.add_embedding.linear_1.in_features / unet.config.addition_time_embed_dim)
    if count not in (1, 3):
        raise NotSupported(
            f"the network of model {model!r} is told {count} numbers, which are those of SV3D-P's camera at every frame; "
            "noisekit runs SVD, which is told three, and SV3D-U, which is told one"
        )
    return count


def _check_sampler(scheduler: Any, card: Card) -> None:
    """Raise unless the scheduler tells the network ¼·ln σ, at levels of its own."""
    config = scheduler.config
    if type(scheduler).__name__ != "EulerDiscreteScheduler" or config.get("timestep_type") != "continuous":
        raise NotSupported(
            f"scheduler {type(scheduler).__name__} of model {card.name!r} tells the network timesteps of a table, and it "
            "was trained to be told ¼·ln σ; leave the scheduler out"
        )
    if card.timesteps is not None:
        raise BadValue(
            f"timesteps={list(card.timesteps)} of model {card.name!r} have no meaning: its network is told ¼·ln σ; give "
            "steps instead"
        )


def _checkpointed(network: Any) -> bool:
    return torch.is_grad_enabled() and bool(getattr(network, "is_gradient_checkpointing", False))


def _drawing(prompt: str) -> torch.Generator:
    """What the noise in the image of a prompt is drawn with; the same for every seed."""
    return generator("image of a prompt", getattr(prompt, "pixels", ""))
