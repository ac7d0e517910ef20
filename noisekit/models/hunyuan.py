"""Hunyuan-DiT: a diffusers HunyuanDiTPipeline (arXiv 2405.08748).

A bilingual CLIP (B, 77, 1024) and multilingual T5 (B, 256, 2048) read the prompt, each with a mask; NPNet reads the first
alone. Up to version 1.1 the transformer is told sizes as SDXL's UNet is (an original of 1024², no crop, the wanted size)
and a style, which is 0; that of 1.2, whose config says use_style_cond_and_image_meta_size=false, reads neither. It turns its
queries and keys by two-dimensional rotary embeddings, centred in a square of 512 pixels. Of the channels that it predicts
the second half is a variance, which no sampler here reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from noisekit.models.pipeline import DiffusersModel

#: Tokens that the two encoders read, as the pipeline's call has them.
CLIP_TOKENS, T5_TOKENS = 77, 256


class HunyuanDiT(DiffusersModel):
    """A transformer over Stable Diffusion's latents, told text by two encoders, and sizes."""

    denoiser_name: ClassVar[str] = "transformer"

    def embed(self, prompts: Sequence[str]) -> Mapping[str, Tensor]:
        tensors: dict[str, Tensor] = {}
        for index, (suffix, tokens) in enumerate((("", CLIP_TOKENS), ("_t5", T5_TOKENS))):
            text, _, mask, _ = self.pipe.encode_prompt(
                list(prompts),
                device=self.device,
                dtype=self.denoiser.dtype,
                do_classifier_free_guidance=False,
                max_sequence_length=tokens,
                text_encoder_index=index,
            )
            tensors |= {f"text{suffix}": text, f"mask{suffix}": mask}
        return tensors

    def network(self, x: Tensor, t: Tensor, text: Mapping[str, Tensor], guidance: float) -> Tensor:
        n = len(x)
        sizes = [1024, 1024, *self.size, 0, 0]
        u = self.denoiser(
            x,
            t.expand(n).to(x.dtype),
            encoder_hidden_states=text["text"],
            text_embedding_mask=text["mask"],
            encoder_hidden_states_t5=text["text_t5"],
            text_embedding_mask_t5=text["mask_t5"],
            image_meta_size=x.new_tensor([sizes]).repeat(n, 1),
            style=text["mask"].new_zeros(n),
            image_rotary_emb=self._rotations(*x.shape[2:]),
            return_dict=False,
        )[0]
        return u[:, : x.shape[1]]

    def _rotations(self, height: int, width: int) -> Any:
        """Cosines and sines by which the tokens of latents (height, width) are turned."""
        from diffusers.models.embeddings import get_2d_rotary_pos_embed
        from diffusers.pipelines.hunyuandit.pipeline_hunyuandit import get_resize_crop_region_for_grid

        config = self.denoiser.config
        grid = (height // config.patch_size, width // config.patch_size)
        region = get_resize_crop_region_for_grid(grid, 512 // 8 // config.patch_size)
        head = self.denoiser.inner_dim // self.denoiser.num_heads
        return get_2d_rotary_pos_embed(head, region, grid, device=self.device, output_type="pt")

    @property
    def pixel_step(self) -> int:
        return super().pixel_step * int(self.denoiser.config.patch_size)

    def readers(self) -> list[tuple[Any, int]]:
        return [(self.pipe.tokenizer, CLIP_TOKENS), (self.pipe.tokenizer_2, T5_TOKENS)]

    @property
    def call_kwargs(self) -> dict[str, Any]:
        return super().call_kwargs | {"use_resolution_binning": False}
