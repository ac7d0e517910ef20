"""Lumina-Image 2.0: a diffusers Lumina2Pipeline (arXiv 2503.21758).

Gemma reads the prompt behind the pipeline's system prompt, and the states of its last layer but one (B, tokens, 2304)
go in with their mask; under guidance they are compared with those of nothing at all, as the pipeline does. The
transformer runs on a clock of its own and predicts the other way round, and a guided prediction gets the length of
the prompt's own back, row by row:

    u = −v(x_σ, 1 − σ)        û = u(∅) + ω·(u(c) − u(∅))        u = û·‖u(c)‖/‖û‖        norms over a row of a channel
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from noisekit.models.flow import FlowModel
from noisekit.models.texts import room
from noisekit.solvers import shift_for


class Lumina2(FlowModel):
    """A flow over 16-channel latents, told text with a mask."""

    even_levels: ClassVar[bool] = True

    def embed(self, prompts: Sequence[str]) -> Mapping[str, Tensor]:
        text, mask, _, _ = self._encoded_prompt(prompts, do_classifier_free_guidance=False)
        return {"text": text, "mask": mask}

    def embed_nothing(self) -> Mapping[str, Tensor]:
        _, _, text, mask = self._encoded_prompt([""])
        return {"text": text, "mask": mask}

    def _encoded_prompt(self, prompts: Sequence[str], **settings: Any) -> Any:
        return self.pipe.encode_prompt(
            list(prompts), device=self.device, max_sequence_length=self.tokens, **settings
        )

    def network(self, x: Tensor, t: Tensor, text: Mapping[str, Tensor], guidance: float) -> Tensor:
        v = self.denoiser(
            hidden_states=x,
            timestep=(1 - t / 1000).expand(len(x)),
            encoder_hidden_states=text["text"],
            encoder_attention_mask=text["mask"],
            return_dict=False,
        )[0]
        return -v

    def mixed(self, without: Tensor, with_prompt: Tensor, guidance: float) -> Tensor:
        sums = super().mixed(without, with_prompt, guidance)
        return sums * (with_prompt.norm(dim=-1, keepdim=True) / sums.norm(dim=-1, keepdim=True))

    def shift(self, config: Any, steps: int) -> float:
        return shift_for(config, self.noise_shape[0])  # the pipeline counts channels, not tokens

    def readers(self) -> list[tuple[Any, int]]:
        pipe = self.pipe
        before = f"{pipe.system_prompt} <Prompt Start> "
        return [(pipe.tokenizer, room(pipe.tokenizer, before, self.tokens))]
