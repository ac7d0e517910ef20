"""SANA and SANA-Sprint: diffusers SanaPipeline (arXiv 2410.10629) and SanaSprintPipeline (arXiv 2503.09641).

Gemma reads the prompt behind an instruction to enrich it, which is the pipeline's default; its states (B, tokens, 2304) go
in with their mask. SANA under guidance compares with the empty prompt without the instruction, as its pipeline does.

SANA is a flow. SANA-Sprint is its consistency student in the angles of TrigFlow, with data of deviation σ_d: at angle t,
x_t = cos t·x_0 + sin t·z with z ~ N(0, σ_d²·I), so that x_t/σ_d has unit variance. The transformer is still the flow's:

    s = sin t / (cos t + sin t)        y = x_t/σ_d·√(s² + (1 − s)²)          the flow's level and state
    F = ((1 − 2s)·y + (1 − 2s + 2s²)·v(y, s)) / √(s² + (1 − s)²)             TrigFlow's prediction from the velocity v
    x̂_0 = cos t·x_t − sin t·σ_d·F                                            noised to the next t, but for the last step

All but v in fp32. Guidance is distilled into the network, which is told the scale. Its steps draw fresh noise and follow no
ODE, so it is not invertible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor

from noisekit.errors import BadValue, NotSupported
from noisekit.models.base import Conditioning, Marker, without_injected
from noisekit.models.cards import Card
from noisekit.models.flow import FlowModel, without_timesteps
from noisekit.models.transformer import TransformerModel


class Sana(FlowModel):
    """A flow over the 32-channel latents of a deep-compression autoencoder, ×32 smaller than the image."""

    def __init__(self, pipe: Any, card: Card) -> None:
        _not_in_fp16(pipe, card)
        super().__init__(pipe, card)

    def embed(self, prompts: Sequence[str]) -> Mapping[str, Tensor]:
        text, mask, _, _ = self._encoded_prompt(prompts, do_classifier_free_guidance=False)
        return {"text": text, "mask": mask}

    def embed_nothing(self) -> Mapping[str, Tensor]:
        _, _, text, mask = self._encoded_prompt([""])
        return {"text": text, "mask": mask}

    def _encoded_prompt(self, prompts: Sequence[str], **settings: Any) -> Any:
        return self.pipe.encode_prompt(
            list(prompts),
            device=self.device,
            max_sequence_length=self.tokens,
            complex_human_instruction=self.usual("complex_human_instruction"),
            **settings,
        )

    def network(self, x: Tensor, t: Tensor, text: Mapping[str, Tensor], guidance: float) -> Tensor:
        u = self.denoiser(
            x,
            encoder_hidden_states=text["text"].to(x.dtype),
            encoder_attention_mask=text["mask"],
            timestep=t.expand(len(x)) * self.denoiser.config.timestep_scale,
            return_dict=False,
        )[0]
        return u[:, : x.shape[1]]  # some checkpoints predict a variance too

    def pipe_latents(self, noise: Tensor) -> Tensor:
        return noise

    @property
    def call_kwargs(self) -> dict[str, Any]:
        return super().call_kwargs | {"use_resolution_binning": False}


def _not_in_fp16(pipe: Any, card: Card) -> None:
    """Refuse the number type that Gemma and the deep-compression autoencoder overflow in."""
    narrow = [name for name in ("text_encoder", "vae") if getattr(pipe, name).dtype == torch.float16]
    if narrow:
        raise BadValue(
            f"model {card.name!r} has its {' and '.join(narrow)} in fp16, in which SANA's overflow; load it with "
            "dtype='bf16' or dtype='fp32'"
        )


class SanaSprint(TransformerModel):
    """A consistency model over SANA's latents, for one to four steps."""

    def __init__(self, pipe: Any, card: Card) -> None:
        without_timesteps(card)
        _not_in_fp16(pipe, card)
        super().__init__(pipe, card)
        self.markers -= {Marker.INVERTIBLE}

    def embed(self, prompts: Sequence[str]) -> Mapping[str, Tensor]:
        text, mask = self.pipe.encode_prompt(
            list(prompts),
            device=self.device,
            max_sequence_length=self.tokens,
            complex_human_instruction=self.usual("complex_human_instruction"),
        )
        return {"text": text, "mask": mask}

    def network(self, x: Tensor, t: Tensor, text: Mapping[str, Tensor], guidance: float) -> Tensor:
        told = torch.full((len(x),), guidance, device=x.device).to(text["text"].dtype)
        return self.denoiser(
            x,
            encoder_hidden_states=text["text"].to(x.dtype),
            encoder_attention_mask=text["mask"],
            guidance=told * self.denoiser.config.guidance_embeds_scale,
            timestep=t.expand(len(x)),
            return_dict=False,
        )[0]

    def doubles(self, guidance: float) -> bool:
        return False

    def grid(self, steps: int) -> NoReturn:
        raise NotSupported(f"model {self.name!r} follows no ODE: its steps draw fresh noise; use SANA itself")

    def sampler_grid(self, steps: int) -> NoReturn:
        self.grid(steps)

    def timed(self, scheduler: Any, steps: int) -> Any:
        scheduler.set_timesteps(steps, device=self.device, intermediate_timesteps=self._intermediate(steps))
        return scheduler

    def sample(
        self,
        noise: Tensor,
        conditioning: Conditioning,
        generators: list[torch.Generator] | None = None,
        steps: int | None = None,
        injected: Tensor | None = None,
    ) -> Tensor:
        without_injected(self.name, injected)
        scheduler = self.schedule(steps or self.card.steps)
        scale = scheduler.config.sigma_data
        x = clean = noise * scale
        for t in self.visited(scheduler):
            s = _level(t)
            length = (s**2 + (1 - s) ** 2).sqrt()
            state = x / scale * length
            velocity = self.predict(state, s, conditioning, self.card.guidance)
            predicted = ((1 - 2 * s) * state + (1 - 2 * s + 2 * s**2) * velocity) / length
            x, clean = scheduler.step(predicted * scale, t, x, generator=generators, return_dict=False)
        return clean / scale

    def visited(self, scheduler: Any) -> Tensor:
        """All but the last, which is the clean end."""
        return scheduler.timesteps[:-1]

    def first_timestep(self) -> Tensor:
        return _level(super().first_timestep())

    def pipe_latents(self, noise: Tensor) -> Tensor:
        return noise

    @property
    def call_kwargs(self) -> dict[str, Any]:
        own = {
            "use_resolution_binning": False,
            "intermediate_timesteps": self._intermediate(self.card.steps),
        }
        return super().call_kwargs | own

    def _intermediate(self, steps: int) -> float | None:
        """The angle between two steps, which the scheduler takes for two steps only."""
        return self.usual("intermediate_timesteps") if steps == 2 else None


def _level(t: Tensor) -> Tensor:
    """The flow's level s at angle t."""
    return t.sin() / (t.cos() + t.sin())
