"""The configurations that the tiny reward models share, and their image preprocessing.

Images of 32×32 in patches of 4×4; the fields are those of the published CLIP models, which read 224×224.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import CLIPImageProcessor, CLIPTextConfig, CLIPVisionConfig

from noisekit.tiny.tokenizer import LENGTH, VOCABULARY

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
WIDTH = 96
EMBEDDING = 64  # of images and captions, in their common space


def vision(layers: int) -> CLIPVisionConfig:
    return CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=3 * WIDTH,
        num_hidden_layers=layers,
        num_attention_heads=4,
        image_size=32,
        patch_size=4,
        projection_dim=EMBEDDING,
        attn_implementation="eager",
    )


def text(layers: int, vocabulary: Sequence[str] = VOCABULARY, length: int = LENGTH) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(vocabulary),
        hidden_size=WIDTH,
        intermediate_size=3 * WIDTH,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=length,
        projection_dim=EMBEDDING,
        pad_token_id=vocabulary.index("<pad>"),
        bos_token_id=vocabulary.index("<bos>"),
        eos_token_id=vocabulary.index("<eos>"),
        attn_implementation="eager",
    )


def preprocess(images: torch.Tensor) -> torch.Tensor:
    """Images (n, 3, 32, 32) in [0, 1] to the range that the towers read."""
    mean, deviation = torch.tensor(MEAN)[:, None, None], torch.tensor(DEVIATION)[:, None, None]
    return (images - mean) / deviation


def save_preprocessing(folder: Path) -> None:
    """Writes preprocessor_config.json."""
    processor = CLIPImageProcessor(
        size={"shortest_edge": 32},
        crop_size={"height": 32, "width": 32},
        resample=3,  # bicubic
        image_mean=list(MEAN),
        image_std=list(DEVIATION),
    )
    processor.save_pretrained(folder)
