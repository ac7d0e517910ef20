"""Checkpoint folders with random weights, of the real classes in the real formats, made by none of noisekit's code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

WORDS = ["a", "red", "green", "blue", "circle", "square", "of", "to", "the", "left", "right", "two"]
SIZE = 16


def save_preprocessor(folder: Path) -> None:
    config = {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": SIZE},
        "crop_size": {"height": SIZE, "width": SIZE},
        "resample": 3,
        "image_mean": [0.4, 0.5, 0.6],
        "image_std": [0.2, 0.3, 0.25],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(config))


def vision_settings() -> dict[str, int]:
    return {
        "hidden_size": 24,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIZE,
        "patch_size": 4,
    }


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIPModel with a word-level tokenizer: <pad> 0, <unk> 1, <bos> 2, <eos> 3, at most 12 tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("clip")
    vocabulary = {word: index for index, word in enumerate(["<pad>", "<unk>", "<bos>", "<eos>", *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 2), ("<eos>", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", unk_token="<unk>", bos_token="<bos>", eos_token="<eos>"
    ).save_pretrained(folder)
    text = {
        "vocab_size": len(vocabulary),
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 12,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 3,
    }
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config=text, vision_config=vision_settings(), projection_dim=20, initializer_factor=5.0
    )
    CLIPModel(config).save_pretrained(folder)
    save_preprocessor(folder)
    return folder


@pytest.fixture(scope="session")
def aesthetic_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    folder = tmp_path_factory.mktemp("aesthetic")
    torch.manual_seed(1)
    config = CLIPVisionConfig(projection_dim=20, initializer_factor=5.0, **vision_settings())
    CLIPVisionModelWithProjection(config).save_pretrained(folder)
    save_file({"weight": torch.randn(1, 20), "bias": torch.tensor([5.0])}, folder / "head.safetensors")
    save_preprocessor(folder)
    return folder
