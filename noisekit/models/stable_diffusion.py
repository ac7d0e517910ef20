"""Stable Diffusion: a diffusers StableDiffusionPipeline, multi-step or one-step, behind the `Model` interface.

`sample` walks the pipeline's own scheduler exactly as the pipeline's call does, but keeps the gradient to the noise, takes
one generator per sample, and encodes each prompt once. Latents stay in fp32 between steps whatever the networks use.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from noisekit.cost import counted
from noisekit.errors import BadValue
from noisekit.models.base import Conditioning, Marker, Model, guided
from noisekit.models.cards import Card
from noisekit.solvers import Grid, scheduler_grid


class StableDiffusion(Model):
    """A Stable Diffusion pipeline as it stands: its weights, adapters and scheduler are used, not changed."""

    def __init__(self, pipe: Any, card: Card) -> None:
        self.pipe, self.card, self.name = pipe, card, card.name
        pipe.set_progress_bar_config(disable=True)
        for network in (pipe.unet, pipe.vae, pipe.text_encoder):
            network.eval().requires_grad_(False)
        self.device = torch.device(pipe.device)
        config = pipe.unet.config
        size = config.sample_size if isinstance(config.sample_size, int) else config.sample_size[0]
        self.noise_shape = (config.in_channels, size, size)
        self.markers = frozenset(Marker(name) for name in card.abilities)
        self._encoded: dict[str, Tensor] = {}

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> Conditioning:
        fresh = [text for text in dict.fromkeys(["", *prompts]) if text not in self._encoded]
        for start in range(0, len(fresh), self.card.batch):
            texts = fresh[start : start + self.card.batch]
            embeds, _ = self.pipe.encode_prompt(texts, self.device, 1, do_classifier_free_guidance=False)
            self._encoded.update(zip(texts, embeds.split(1), strict=True))
        return Conditioning(torch.cat([self._encoded[text] for text in prompts]), self._encoded[""])

    def unread(self, prompts: Sequence[str]) -> dict[str, str]:
        """The prompts that the text encoder does not read whole, with the reason: unknown words, or cut words."""
        tokenizer, reasons = self.pipe.tokenizer, {}
        for text in dict.fromkeys(prompts):
            ids = tokenizer(text).input_ids
            if len(ids) > tokenizer.model_max_length:
                reasons[text] = f"{len(ids)} tokens, cut to {tokenizer.model_max_length}"
            unknown = [word for word in text.split() if self._is_unknown(word)]
            if unknown:
                reasons[text] = f"words that the text encoder does not know: {', '.join(unknown[:5])}"
        return reasons

    def _is_unknown(self, word: str) -> bool:
        tokenizer = self.pipe.tokenizer
        special = tokenizer.unk_token_id in (None, tokenizer.eos_token_id, tokenizer.pad_token_id)
        return not special and tokenizer.unk_token_id in tokenizer(word).input_ids

    def grid(self, steps: int) -> Grid:
        return scheduler_grid(self.pipe.scheduler.config, steps)

    def predict(self, x: Tensor, t: Tensor, conditioning: Conditioning, guidance: float) -> Tensor:
        self._check_shape(x)
        if torch.is_grad_enabled():
            return self._predict(x, t, conditioning.positive, conditioning.negative, guidance)
        parts = zip(x.split(self.card.batch), conditioning.positive.split(self.card.batch), strict=True)
        return torch.cat([self._predict(part, t, c, conditioning.negative, guidance) for part, c in parts])

    def _predict(self, x: Tensor, t: Tensor, positive: Tensor, negative: Tensor, guidance: float) -> Tensor:
        unet = self.pipe.unet
        if not guided(guidance):
            u = unet(x.to(unet.dtype), t.to(self.device), positive, return_dict=False)[0]
            return counted("denoiser", u.float())
        both = torch.cat([negative.expand_as(positive), positive])
        u = unet(torch.cat([x, x]).to(unet.dtype), t.to(self.device), both, return_dict=False)[0]
        without, with_prompt = counted("denoiser", u.float()).chunk(2)
        return without + guidance * (with_prompt - without)

    def sample(
        self,
        noise: Tensor,
        conditioning: Conditioning,
        generators: list[torch.Generator] | None = None,
        steps: int | None = None,
    ) -> Tensor:
        scheduler = copy.deepcopy(self.pipe.scheduler)
        scheduler.set_timesteps(steps or self.card.steps, device=self.device)
        random = (
            {"generator": generators} if "generator" in inspect.signature(scheduler.step).parameters else {}
        )
        x = noise * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            u = self.predict(scheduler.scale_model_input(x, t), t, conditioning, self.card.guidance)
            x = scheduler.step(u, t, x, **random, return_dict=False)[0]
        return x

    def decode(self, latents: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return self._decode(latents)
        return torch.cat([self._decode(part) for part in latents.split(self.card.batch)])

    def _decode(self, latents: Tensor) -> Tensor:
        vae = self.pipe.vae
        images = vae.decode((latents / vae.config.scaling_factor).to(vae.dtype), return_dict=False)[0]
        return counted("decoder", (images.float() / 2 + 0.5).clamp(0, 1))

    @cached_property
    def identity(self) -> dict[str, Any]:
        pipe = self.pipe
        networks = {"unet": pipe.unet, "vae": pipe.vae, "text_encoder": pipe.text_encoder}
        scheduler = {key: value for key, value in pipe.scheduler.config.items() if not key.startswith("_")}
        words = sorted(pipe.tokenizer.get_vocab().items())
        return {
            "pipeline": type(pipe).__name__,
            "tokenizer": hashlib.sha256(repr(words).encode()).hexdigest(),
            "weights": {name: weights_hash(network) for name, network in networks.items()},
            "dtype": str(pipe.unet.dtype),
            "scheduler": [type(pipe.scheduler).__name__, scheduler],
            "steps": self.card.steps,
            "guidance": self.card.guidance,
            "size": list(self.noise_shape),
        }

    @property
    def call_kwargs(self) -> dict[str, Any]:
        return {
            "num_inference_steps": self.card.steps,
            "guidance_scale": self.card.guidance,
            "output_type": "pt",
        }

    def _check_shape(self, x: Tensor) -> None:
        if x.dim() != 4 or x.shape[1] != self.noise_shape[0]:
            expected = f"(batch, {', '.join(map(str, self.noise_shape))})"
            raise BadValue(
                f"latents of shape {tuple(x.shape)} do not fit model {self.name!r}, which takes {expected}"
            )


def weights_hash(network: torch.nn.Module) -> str:
    """SHA-256 over the names, types and bytes of a network's state, on whatever device it lies."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
