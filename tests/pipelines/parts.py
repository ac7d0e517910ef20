"""Text encoders, tokenizers and autoencoders that several families share."""

from __future__ import annotations

from typing import Any


def clip_tokenizer(length: int = 77) -> Any:
    """One token a letter: CLIP's byte alphabet without merges, and its two specials."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={word: i for i, word in enumerate(words)}, merges=[], model_max_length=length)


def clip_text(tokenizer: Any, width: int = 32, projection: int | None = None) -> Any:
    """A CLIP text encoder of two layers; with a projection, of the class that pools."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=tokenizer.model_max_length,
        projection_dim=projection or width,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config).eval()


def autoencoder(channels: int = 4, widths: tuple[int, ...] = (8, 16), **config: Any) -> Any:
    """A KL autoencoder that halves height and width between its `widths`."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=widths,
        latent_channels=channels,
        norm_num_groups=8,
        sample_size=16,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        **config,
    ).eval()


#: The time axis of Stable Diffusion, as its schedulers are configured.
STABLE_DIFFUSION_BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
