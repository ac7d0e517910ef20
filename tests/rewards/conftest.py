"""Checkpoint folders with random weights, of the real classes in the real formats, made by none of noisekit's code but
the two networks that are noisekit's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

WORDS = ["a", "red", "green", "blue", "circle", "square", "of", "to", "the", "left", "right", "two"]
SIZE = 16
LENGTH = 12
MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.3, 0.25]
SPECIAL = ["<pad>", "<unk>", "<bos>", "<eos>"]
VOCABULARY = len(SPECIAL) + len(WORDS)


def save_preprocessor(folder: Path) -> None:
    config = {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": SIZE},
        "crop_size": {"height": SIZE, "width": SIZE},
        "resample": 3,
        "image_mean": MEAN,
        "image_std": STD,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(config))


def save_tokenizer(folder: Path, words: list[str]) -> None:
    """Word-level; a word's id is its place."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    ids = {word: index for index, word in enumerate(words)}
    plain = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    plain.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", ids["<bos>"]), ("<eos>", ids["<eos>"])]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="<pad>", unk_token="<unk>", bos_token="<bos>", eos_token="<eos>"
    ).save_pretrained(folder)


def vision_settings() -> dict[str, Any]:
    return {
        "hidden_size": 24,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIZE,
        "patch_size": 4,
    }


def text_settings() -> dict[str, Any]:
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": LENGTH,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 3,
    }


def clip_settings() -> dict[str, Any]:
    return {"text_config": text_settings(), "vision_config": vision_settings(), "projection_dim": 20}


def save_random(network: torch.nn.Module, file: Path) -> None:
    """In half precision, with weights large enough that every part of the network speaks, biases and norms too."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1:
                torch.nn.init.xavier_normal_(parameter, gain=1.5)
            elif parameter.dim() == 1:
                parameter += 0.2 * torch.randn(parameter.shape)
    save_file({name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}, file)


def save_clip(folder: Path, seed: int) -> None:
    from transformers import CLIPConfig, CLIPModel

    save_tokenizer(folder, [*SPECIAL, *WORDS])
    save_preprocessor(folder)
    torch.manual_seed(seed)
    CLIPModel(CLIPConfig(**clip_settings(), initializer_factor=5.0)).half().save_pretrained(folder)


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    save_clip(folder, 0)
    return folder


@pytest.fixture(scope="session")
def pick_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pick")
    save_clip(folder, 2)
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


@pytest.fixture(scope="session")
def hps_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """open_clip's format; the end of text has the highest id, as in CLIP's own vocabulary."""
    from open_clip.model import CLIP

    folder = tmp_path_factory.mktemp("hps")
    save_tokenizer(folder, ["<pad>", "<unk>", "<bos>", *WORDS, "<eos>"])
    model = {
        "embed_dim": 20,
        "vision_cfg": {
            "image_size": SIZE,
            "layers": 2,
            "width": 24,
            "head_width": 12,
            "patch_size": 4,
            "mlp_ratio": 2.0,
        },
        "text_cfg": {
            "context_length": LENGTH,
            "vocab_size": VOCABULARY,
            "width": 16,
            "heads": 2,
            "layers": 2,
            "mlp_ratio": 2.0,
        },
    }
    preprocess = {"size": SIZE, "mean": MEAN, "std": STD}
    config = {"model_cfg": model, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(3)
    save_random(CLIP(**model), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="session")
def image_reward_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from noisekit.rewards.image_reward import ImageRewardNetwork

    folder = tmp_path_factory.mktemp("image_reward")
    save_tokenizer(folder, [*SPECIAL, *WORDS])
    save_preprocessor(folder)
    network = {
        "vision": {**vision_settings(), "layer_norm_eps": 1e-6},
        "text": {**text_settings(), "encoder_hidden_size": 24, "sep_token_id": 3},
        "mlp": [10, 6, 1],
    }
    config = {**network, "mean": 0.3, "std": 1.5, "length": LENGTH}
    (folder / "config.json").write_text(json.dumps(config))
    torch.manual_seed(4)
    save_random(ImageRewardNetwork(**network), folder / "model.safetensors")
    return folder


@pytest.fixture(scope="session")
def mps_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from noisekit.rewards.mps import MPSNetwork

    folder = tmp_path_factory.mktemp("mps")
    save_tokenizer(folder, [*SPECIAL, *WORDS])
    save_preprocessor(folder)
    network = {
        "clip": clip_settings(),
        "cross": {"layers": 2, "heads": 3, "head_width": 4, "expansion": 2},
        "threshold": 0.7,
    }
    (folder / "config.json").write_text(json.dumps({**network, "condition": "circle square left"}))
    torch.manual_seed(5)
    save_random(MPSNetwork(**network), folder / "model.safetensors")
    return folder
