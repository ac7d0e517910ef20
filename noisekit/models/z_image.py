"""Z-Image and Z-Image-Turbo: a diffusers ZImagePipeline.

Qwen3 reads the prompt in a chat template that lets it think, and the states of its last layer but one (B, L, 2560) go
in, the padding cut off: where an image's tokens lie depends on the length of its prompt, rounded up to 32. The
transformer runs on a clock of its own and predicts the other way round:

    u = −v(x_σ, 1 − σ)        guidance of the call g = ω − 1, as it writes u(c) + g·(u(c) − u(∅))

Latents stay in fp32 between the steps of the pipeline, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from noisekit.models.flow import FlowModel
from noisekit.models.texts import masked, room

#: Side of the images that the pipeline makes when nobody says, which stands in the body of its call.
SIDE = 1024


class ZImage(FlowModel):
    """A flow over 16-channel latents, told text of any length."""

    even_levels: ClassVar[bool] = True

    def embed(self, prompts: Sequence[str]) -> Mapping[str, Tensor]:
        # The call writes templates over the texts in the list that it is given.
        states, _ = self.pipe.encode_prompt(
            list(prompts),
            device=self.device,
            do_classifier_free_guidance=False,
            max_sequence_length=self.tokens,
        )
        return masked(states)

    def network(self, x: Tensor, t: Tensor, text: Mapping[str, Tensor], guidance: float) -> Tensor:
        states = [own[there] for own, there in zip(text["text"], text["mask"], strict=True)]
        clock = (1000 - t.expand(len(x))) / 1000
        v = self.denoiser(list(x.unsqueeze(2)), clock, states, return_dict=False)[0]
        return -torch.stack(v).squeeze(2)

    @property
    def patch(self) -> int:
        return int(self.denoiser.config.all_patch_size[0])

    @property
    def usual_size(self) -> tuple[int, int]:
        return SIDE, SIDE

    def readers(self) -> list[tuple[Any, int]]:
        tokenizer = self.pipe.tokenizer
        said = [{"role": "user", "content": ""}]
        template = tokenizer.apply_chat_template(
            said, tokenize=False, add_generation_prompt=True, enable_thinking=True
        )
        return [(tokenizer, room(tokenizer, template, self.tokens))]

    def pipe_latents(self, noise: Tensor) -> Tensor:
        return noise

    @property
    def call_kwargs(self) -> dict[str, Any]:
        return super().call_kwargs | {"guidance_scale": max(self.card.guidance - 1, 0.0)}
