"""What all diffusers pipelines share: a `Model` around a pipeline as it stands.

`sample` walks the pipeline's own scheduler exactly as the pipeline's call does, but keeps the gradient to the noise, takes
one generator per sample, and encodes each prompt once. Latents stay in fp32 between steps whatever the networks use.

A family says how prompts become tensors (`embed`), how its denoiser is called (`network`), and, where it differs from Stable
Diffusion, how latents are laid out (`latent_shape`, `pipe_latents`), decoded (`image`) and scheduled (`schedule`, `grid`).
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from noisekit.cost import counted
from noisekit.errors import BadValue, CorruptWeights, NoisekitError, NotSupported
from noisekit.models.base import Conditioning, Marker, Model, without_injected
from noisekit.models.cards import FRAME_SETTINGS, Card
from noisekit.models.identity import describe
from noisekit.models.layout import idle
from noisekit.models.memory import execution_device, is_offloaded, recomputed
from noisekit.models.networks import one_line
from noisekit.models.samplers import check_eta, rehearse, set_timesteps, step_settings, walk
from noisekit.models.texts import Texts, of_one_length, unread
from noisekit.solvers import Grid, sampler_grid, scheduler_grid
from noisekit.threads import fitting
from noisekit.types import Cost


class DiffusersModel(Model, ABC):
    """A diffusers pipeline behind the `Model` interface: its weights and scheduler are used, not changed."""

    #: The pipeline's component that predicts: "unet" or "transformer".
    denoiser_name: ClassVar[str] = "unet"

    #: Whether it makes sequences of frames, and has the settings of one.
    makes_frames: ClassVar[bool] = False

    #: Whether a text encoder reads as many tokens as it is asked to.
    takes_tokens: ClassVar[bool] = False

    def __init__(self, pipe: Any, card: Card) -> None:
        if card.tokens is not None and not self.takes_tokens:
            raise BadValue(
                f"tokens={card.tokens} of model {card.name!r} has no meaning: its text encoders read a fixed number; leave "
                "it out"
            )
        for name in () if self.makes_frames else FRAME_SETTINGS:
            if (value := getattr(card, name)) is not None:
                raise BadValue(
                    f"{name}={value!r} of model {card.name!r} has no meaning: it makes single images; leave it out"
                )
        check_eta(pipe.scheduler, card.eta, card.name)
        self.pipe, self.card, self.name = pipe, card, card.name
        pipe.set_progress_bar_config(disable=True)
        for network in self.networks.values():
            network.eval().requires_grad_(False)
        self.size = self._checked_size(card.size)
        self.noise_shape = self.latent_shape(*self.size)
        self.markers = frozenset(Marker(name) for name in card.abilities)
        self._texts = Texts(self._embedded, card.batch)
        self._schedules: dict[int, Any] = {}
        self._described: Mapping[str, Any] | None = None

    @abstractmethod
    def embed(self, prompts: Sequence[str]) -> Mapping[str, Tensor]:
        """What the denoiser takes of prompts: the pipeline's `prompt_embeds` (B, L, D) as "text", and others (B, …)."""

    def embed_nothing(self) -> Mapping[str, Tensor]:
        """What it takes in the place of a prompt under guidance, (1, …) each: the empty prompt, unless a family differs."""
        return self.embed([""])

    @abstractmethod
    def network(self, x: Tensor, t: Tensor, text: Mapping[str, Tensor], guidance: float) -> Tensor:
        """One call of the denoiser: u (n, C, h, w) for states x (n, C, h, w) in its own type, timestep t and `text` (n, …).

        guidance is for networks that are told the scale.
        """

    @property
    def device(self) -> torch.device:  # type: ignore[override]  # wherever the pipeline is by now
        return execution_device(self.pipe, self.denoiser)

    @property
    def denoiser(self) -> Any:
        """The network that predicts."""
        return getattr(self.pipe, self.denoiser_name)

    @cached_property
    def parameters(self) -> int:
        return sum(tensor.numel() for tensor in self.denoiser.parameters())

    @property
    def networks(self) -> dict[str, torch.nn.Module]:
        """Every network that has a part in an image, by the pipeline's name for it."""
        parts = self.pipe.components.items()
        return {
            name: p
            for name, p in parts
            if isinstance(p, torch.nn.Module) and name not in idle(type(self.pipe))
        }

    @property
    def usual_size(self) -> tuple[int, int]:
        """Height and width of the images that the pipeline makes when nobody says, in pixels."""
        sample = self.denoiser.config.sample_size
        height, width = (sample, sample) if isinstance(sample, int) else sample
        return height * self.pipe.vae_scale_factor, width * self.pipe.vae_scale_factor

    #: Height and width have to be multiples of this many pixels.
    @property
    def pixel_step(self) -> int:
        return int(self.pipe.vae_scale_factor)

    def _checked_size(self, size: int | tuple[int, ...] | None) -> tuple[int, int]:
        if size is None:
            return self.usual_size
        height, width = (size, size) if isinstance(size, int) else (size[0], size[-1])
        if height % self.pixel_step or width % self.pixel_step:
            raise BadValue(
                f"size {height} × {width} of model {self.name!r} is no multiple of {self.pixel_step} pixels in height and "
                "width"
            )
        return height, width

    def latent_shape(self, height: int, width: int) -> tuple[int, ...]:
        """(C, h, w) of the noise of an image of so many pixels."""
        scale = self.pipe.vae_scale_factor
        return self.denoiser.config.in_channels, height // scale, width // scale

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> Conditioning:
        nothing, *encoded = of_one_length([self._nothing, *self._texts(prompts)])
        device = self.device
        together = {name: torch.cat([one[name] for one in encoded]).to(device) for name in encoded[0]}
        without = {name: tensor.to(device) for name, tensor in nothing.items()}
        added = {name: (tensor, without.get(name)) for name, tensor in together.items() if name != "text"}
        return Conditioning(together["text"], without["text"], added)

    def _embedded(self, prompts: Sequence[str]) -> Mapping[str, Tensor]:
        with fitting(self.parameters):
            return self.embed(prompts)

    @cached_property
    def _nothing(self) -> Mapping[str, Tensor]:
        return self.embed_nothing()

    @contextmanager
    def texts_within(self, most: int) -> Iterator[None]:
        usual, self._texts.most = self._texts.most, min(most, self._texts.most)
        try:
            yield
        finally:
            self._texts.most = usual

    def unread(self, prompts: Sequence[str]) -> dict[str, str]:
        """The prompts that no text encoder reads whole, with the reason: unknown words, or cut words."""
        return unread(max(self.readers(), key=lambda reader: reader[1]), prompts)

    def readers(self) -> list[tuple[Any, int]]:
        """The pipeline's tokenizers, each with the number of tokens that its encoder reads."""
        return [(self.pipe.tokenizer, self.pipe.tokenizer.model_max_length)]

    def attending(self) -> tuple[Any, Any]:
        if self.denoiser_name != "unet":
            return super().attending()
        tokenizer, _ = self.readers()[0]
        return self.denoiser, tokenizer

    def grid(self, steps: int) -> Grid:
        return scheduler_grid(self.pipe.scheduler.config, steps, self._chosen(steps))

    def sampler_grid(self, steps: int) -> Grid:
        return sampler_grid(self.schedule(steps))

    def predict(self, x: Tensor, t: Tensor, conditioning: Conditioning, guidance: float) -> Tensor:
        self._check_shape(x)
        size = len(x) if torch.is_grad_enabled() else self.card.batch
        parts = zip(x.split(size), conditioning.split(size), strict=True)
        with fitting(self.parameters):
            return torch.cat([self._predict(part, t, c, guidance) for part, c in parts])

    def _predict(self, x: Tensor, t: Tensor, conditioning: Conditioning, guidance: float) -> Tensor:
        x, t = x.to(self.denoiser.dtype), t.to(x.device)
        network = recomputed(self.network, self.recomputes(self.denoiser))
        if not self.doubles(guidance):
            return counted("denoiser", network(x, t, conditioning.with_prompt, guidance).float(), self)
        u = network(torch.cat([x, x]), t, conditioning.without_and_with, guidance).float()
        without, with_prompt = counted("denoiser", u, self).chunk(2)
        return self.mixed(without, with_prompt, guidance)

    def recomputes(self, network: torch.nn.Module) -> bool:
        """Whether a gradient computes the whole of a network a second time, instead of keeping what is inside."""
        return is_offloaded(network)

    def mixed(self, without: Tensor, with_prompt: Tensor, guidance: float) -> Tensor:
        """The guided prediction (n, C, h, w) of one that was told no prompt and one that was: u(∅) + ω·(u(c) − u(∅))."""
        return without + guidance * (with_prompt - without)

    def schedule(self, steps: int) -> Any:
        """A fresh copy of the pipeline's scheduler, set to so many steps."""
        if steps not in self._schedules:  # some say each time what they think of timesteps that are chosen
            self._schedules[steps] = self._rehearsed(steps)
        return copy.deepcopy(self._schedules[steps])

    def _rehearsed(self, steps: int) -> Any:
        """A copy of the scheduler, set to so many steps; `CorruptWeights` where its configuration leads it nowhere."""
        scheduler = copy.deepcopy(self.pipe.scheduler)
        try:
            timed = self.timed(scheduler, steps)
            zeros = torch.zeros(1, *self.noise_shape[:-2], 2, 2, device=self.device)
            rehearse(timed, zeros, self.visited(timed), self.step_settings)
        except NoisekitError:
            raise
        except Exception as error:
            raise CorruptWeights(
                f"scheduler {type(scheduler).__name__} of model {self.name!r} fails over {steps} steps "
                f"({one_line(str(error))}); look for what is wrong in its scheduler_config.json, or take another scheduler"
            ) from error
        return timed

    def timed(self, scheduler: Any, steps: int) -> Any:
        """A scheduler, set to so many steps as the pipeline's own call sets it."""
        if (chosen := self._chosen(steps)) is not None:
            scheduler.set_timesteps(timesteps=chosen, device=self.device)
        else:
            set_timesteps(scheduler, steps, device=self.device)
        return scheduler

    def visited(self, scheduler: Any) -> Tensor:
        """The timesteps at which the denoiser is called along a scheduler that is set; some have more of them than steps."""
        return scheduler.timesteps

    def _chosen(self, steps: int) -> list[int] | None:
        """The card's timesteps where it has as many."""
        chosen = self.card.timesteps
        return list(chosen) if chosen is not None and len(chosen) == steps else None

    def sample(
        self,
        noise: Tensor,
        conditioning: Conditioning,
        generators: list[torch.Generator] | None = None,
        steps: int | None = None,
        injected: Tensor | None = None,
    ) -> Tensor:
        if Marker.STOCHASTIC in self.markers:
            return self.stochastic_walk(noise, conditioning, generators, steps, injected)
        without_injected(self.name, injected)

        def u(x: Tensor, t: Tensor) -> Tensor:
            return self.predict(x, t, conditioning, self.card.guidance)

        return walk(self.schedule(steps or self.card.steps), u, noise, generators, **self.step_settings)

    def first_timestep(self) -> Tensor:
        scheduler = self.schedule(self.card.steps)
        first: Tensor = self.visited(scheduler)[0]
        return first

    @property
    def step_settings(self) -> dict[str, Any]:
        """What the pipeline's own call gives to every step of its scheduler beside generators: η, where it knows one."""
        usual = step_settings(self.pipe)
        return usual | {"eta": self.card.eta} if usual and self.card.eta else usual

    def sample_cost(self, steps: int | None = None) -> Cost:
        """One prediction for each timestep that is visited."""
        visited = self.visited(self.schedule(steps or self.card.steps))
        return self.predict_cost(self.card.guidance) * len(visited) + Cost(decoder=1)

    def decode(self, latents: Tensor) -> Tensor:
        size = len(latents) if torch.is_grad_enabled() else self.card.batch
        image = recomputed(self.image, self.recomputes(self.pipe.vae))
        with fitting(self.parameters):
            images = [image(part).float() / 2 + 0.5 for part in latents.split(size)]
        return torch.cat([counted("decoder", image.clamp(0, 1), self) for image in images])

    def image(self, latents: Tensor) -> Tensor:
        """What the decoder makes of latents (n, C, h, w): images (n, 3, H, W) in [−1, 1]."""
        vae = self.pipe.vae
        return vae.decode(unscaled(latents, vae.config).to(vae.dtype), return_dict=False)[0]

    @property
    def identity(self) -> dict[str, Any]:
        """As the pipeline is now: whatever was changed in it counts, and what was made before that is forgotten."""
        pipe = self.pipe
        found = describe(pipe, self.networks, lambda scheduler: self.timed(scheduler, self.card.steps))
        if found != self._described:
            self._forget()
            self._described = found
        return found | {
            "dtype": str(self.denoiser.dtype),
            "steps": self.card.steps,
            "guidance": self.card.guidance,
            "size": list(self.noise_shape),
            **self.step_settings,
            **({"eta": self.card.eta} if self.card.eta else {}),
            **({"timesteps": list(self.card.timesteps)} if self.card.timesteps else {}),
        }

    def _forget(self) -> None:
        """Give up what was encoded and set up for the pipeline as it was."""
        self._texts.forget()
        self._schedules.clear()
        for name in ("_nothing", "_flops"):
            self.__dict__.pop(name, None)

    @property
    def call_kwargs(self) -> dict[str, Any]:
        if self.card.eta and not self.step_settings:
            raise NotSupported(
                f"model {self.name!r} samples with eta={self.card.eta:g}, which {type(self.pipe).__name__} does not know, "
                "so its own call cannot repeat an image"
            )
        return {
            **({"timesteps": list(self.card.timesteps)} if self.card.timesteps else {}),
            "num_inference_steps": self.card.steps,
            "guidance_scale": self.card.guidance,
            "height": self.size[0],
            "width": self.size[1],
            "output_type": "pt",
            **self.step_settings,
        }

    def pipe_latents(self, noise: Tensor) -> Tensor:
        return noise.to(self.denoiser.dtype)

    def _check_shape(self, x: Tensor) -> None:
        if x.shape[1:-2] != self.noise_shape[:-2]:
            expected = f"(batch, {', '.join(map(str, self.noise_shape))})"
            raise BadValue(
                f"latents of shape {tuple(x.shape)} do not fit model {self.name!r}, which takes {expected}"
            )


def unscaled(latents: Tensor, config: Any) -> Tensor:
    """Latents in the scale of the autoencoder that `config` describes, from the denoiser's unit scale.

    z = x·std / factor + mean, or x / factor + shift, by what the configuration gives.
    """
    factor = getattr(config, "scaling_factor", 1.0)
    mean, std = (getattr(config, name, None) for name in ("latents_mean", "latents_std"))
    if mean is not None and std is not None:
        mean, std = (latents.new_tensor(values).view(1, -1, 1, 1) for values in (mean, std))
        return latents * std / factor + mean
    return latents / factor + (getattr(config, "shift_factor", None) or 0.0)
