"""PickScore from files as published, against its model card's few lines on transformers' CLIP and processor alone."""

from __future__ import annotations

import gzip
from pathlib import Path

import open_clip
import pytest
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTokenizer

from noisekit.rewards.cards import checkpoints
from noisekit.rewards.pick_score import PickScore
from noisekit.rewards.published import clip as published_clip
from tests.oracle.reading import as_the_packages_read
from tests.oracle.write import PROMPTS

PICTURES = sorted((Path(__file__).parent / "pictures").glob("*.png"))

pytestmark = pytest.mark.filterwarnings("ignore:a reward reads only the first")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small CLIP with random weights, and the vocabulary of all CLIPs, which open_clip carries."""
    folder = tmp_path_factory.mktemp("published")
    file = Path(open_clip.__file__).with_name("bpe_simple_vocab_16e6.txt.gz")
    lines = gzip.decompress(file.read_bytes()).decode().splitlines()
    merges = [tuple(line.split()) for line in lines[1 : 49152 - 256 - 2 + 1]]
    letters = list(open_clip.tokenizer.bytes_to_unicode().values())
    words = [*letters, *(letter + "</w>" for letter in letters), *("".join(pair) for pair in merges)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: i for i, word in enumerate(words)}
    CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77).save_pretrained(folder)
    CLIPImageProcessorPil().save_pretrained(folder)
    torch.manual_seed(0)
    text = {"vocab_size": 49408, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    vision = {"hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 2, "patch_size": 32}
    sizes = {"num_attention_heads": 2, "hidden_act": "gelu"}
    config = CLIPConfig(
        text_config=text | sizes | {"bos_token_id": 49406, "eos_token_id": 49407},
        vision_config=vision | sizes | {"image_size": 224},
        projection_dim=20,
        initializer_factor=5.0,
    )
    CLIPModel(config).save_pretrained(folder)
    return folder


@torch.no_grad()
def test_scores_are_those_of_the_few_lines_in_its_model_card(files: Path, tmp_path: Path) -> None:
    weights = "model.safetensors"
    architecture = checkpoints()["pick_score"].architecture
    published_clip.convert({file.name: file for file in files.iterdir()}, weights, architecture, tmp_path)
    reward = PickScore.from_folder(tmp_path)
    model = CLIPModel.from_pretrained(files).eval()
    processor = CLIPProcessor(
        CLIPImageProcessorPil.from_pretrained(files), CLIPTokenizer.from_pretrained(files)
    )
    opened = [Image.open(file).convert("RGB") for file in PICTURES]
    seen = model.get_image_features(**processor(images=opened, return_tensors="pt")).pooler_output
    padded = processor(
        text=PROMPTS, padding="max_length", truncation=True, max_length=77, return_tensors="pt"
    )
    read = model.get_text_features(**padded).pooler_output
    seen, read = seen / seen.norm(dim=-1, keepdim=True), read / read.norm(dim=-1, keepdim=True)
    expected = model.logit_scale.exp() * seen @ read.T
    for file, row in zip(PICTURES, expected):
        found = reward.judge(as_the_packages_read(file).expand(len(PROMPTS), -1, -1, -1), PROMPTS)
        torch.testing.assert_close(found, row, atol=1e-5, rtol=0)
    assert expected.std(0).min() > 0.01
    assert expected.std(1).min() > 0.1
