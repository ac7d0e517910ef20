"""PixArt-α, its one-step student by distribution matching (DMD) included, and PixArt-Σ (arXiv 2403.04692): a
diffusers PixArtAlphaPipeline or PixArtSigmaPipeline.

T5's states (B, tokens, 4096) go in with their mask; the 1024-pixel checkpoints of α are also told height, width and
their ratio, those of Σ are not. Of the channels that the transformer predicts the second half is a variance, which no
sampler here reads.

In one step of α the image is the predicted clean sample itself, not the state that the sampler would step to: DMD
(arXiv 2311.18828) takes the noise for a state at timestep 400 and x̂_0 = (ε − √(1 − ā)·u)/√ā for the latents. Prompts
are not cleaned of markup, which the pipeline's call does only where two further packages are installed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from noisekit.models.base import Conditioning, Marker, without_injected
from noisekit.models.samplers import walk
from noisekit.models.transformer import TransformerModel


class PixArtSigma(TransformerModel):
    """A transformer over SDXL's latents, told text by T5."""

    def embed(self, prompts: Sequence[str]) -> Mapping[str, Tensor]:
        text, mask, _, _ = self.pipe.encode_prompt(
            list(prompts),
            do_classifier_free_guidance=False,
            device=self.device,
            clean_caption=False,
            max_sequence_length=self.tokens,
        )
        return {"text": text, "mask": mask}

    def network(self, x: Tensor, t: Tensor, text: Mapping[str, Tensor], guidance: float) -> Tensor:
        u = self.denoiser(
            x,
            encoder_hidden_states=text["text"],
            encoder_attention_mask=text["mask"],
            timestep=t.expand(len(x)),
            added_cond_kwargs=self._sizes(text["text"]),
            return_dict=False,
        )[0]
        return u[:, : x.shape[1]]

    def _sizes(self, text: Tensor) -> dict[str, Tensor | None]:
        """Resolution (n, 2) and aspect ratio (n, 1), for the checkpoints that are told them."""
        return {"resolution": None, "aspect_ratio": None}

    @property
    def call_kwargs(self) -> dict[str, Any]:
        return super().call_kwargs | {"use_resolution_binning": False, "clean_caption": False}


class PixArtAlpha(PixArtSigma):
    """The same over Stable Diffusion's latents; at 1024 pixels told sizes, and in one step the predicted clean sample."""

    def _sizes(self, text: Tensor) -> dict[str, Tensor | None]:
        if self.denoiser.config.sample_size != 128:
            return super()._sizes(text)
        (height, width), n = self.size, len(text)
        ratio = text.new_tensor([[height / width]]).repeat(n, 1)
        return {"resolution": text.new_tensor([[height, width]]).repeat(n, 1), "aspect_ratio": ratio}

    def sample(
        self,
        noise: Tensor,
        conditioning: Conditioning,
        generators: list[torch.Generator] | None = None,
        steps: int | None = None,
        injected: Tensor | None = None,
    ) -> Tensor:
        number = steps or self.card.steps
        if number > 1 or Marker.STOCHASTIC in self.markers:
            return super().sample(noise, conditioning, generators, number, injected)
        without_injected(self.name, injected)

        def u(x: Tensor, t: Tensor) -> Tensor:
            return self.predict(x, t, conditioning, self.card.guidance)

        return walk(self.schedule(1), u, noise, generators, to="clean", **self.step_settings)
