"""Vision-language models of the real classes at tiny sizes, with processors whose tokenizers spell and know a few words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

#: Letters that every text falls apart into, a space and a line feed among them, as byte-level tokenizers write them.
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,?!\"':-<>|_()ĠĊ"
#: Words of one token, also after a space.
WORDS = ("Yes", "yes", "No", "no", "two", "Two")
SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"),
    *("<|image_pad|>", "<|video_pad|>"),
)
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for c in m.content %}{% if c.type == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ c.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer() -> Any:
    from transformers import Qwen2Tokenizer

    vocabulary, merges = {letter: i for i, letter in enumerate(LETTERS)}, []
    for word in WORDS:
        made = word[0]
        for letter in word[1:]:
            if made + letter not in vocabulary:
                merges.append((made, letter))
                vocabulary[made + letter] = len(vocabulary)
            made += letter
    for word in WORDS:
        merges.append(("Ġ", word))
        vocabulary["Ġ" + word] = len(vocabulary)
    vocabulary |= {token: len(vocabulary) + i for i, token in enumerate(SPECIAL)}
    return Qwen2Tokenizer(
        vocab=vocabulary,
        merges=merges,
        unk_token=None,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL),
    )


TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 4096,
}


def images(patch: int) -> Any:
    """An image processor whose pictures take a few tokens."""
    from transformers import Qwen2VLImageProcessor

    return Qwen2VLImageProcessor(
        patch_size=patch,
        merge_size=2,
        size={"shortest_edge": 32 * 32, "longest_edge": 64 * 64},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )


def tokens(words: Any) -> dict[str, int]:
    names = {"image_token_id": 5, "video_token_id": 6, "vision_start_token_id": 3, "vision_end_token_id": 4}
    return {name: words.convert_tokens_to_ids(SPECIAL[place]) for name, place in names.items()}


def qwen3_vl(folder: Path, width: int = 32) -> Path:
    """A Qwen3-VL with random weights, large enough that answers differ by more than rounding."""
    from transformers import (
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    torch.manual_seed(0)
    words = tokenizer()
    sections = [width // 4 - 2 * (3 * width // 32), *[3 * width // 32] * 2]
    rope = {"rope_type": "default", "mrope_section": sections, "mrope_interleaved": True, "rope_theta": 1e4}
    config = Qwen3VLConfig(
        text_config={
            **TEXT,
            "hidden_size": width,
            "intermediate_size": 2 * width,
            "head_dim": width // 2,
            "vocab_size": len(words) + 3,
            "rope_parameters": rope,
        },
        vision_config={
            "depth": 2,
            "hidden_size": width,
            "intermediate_size": 2 * width,
            "num_heads": 2,
            "patch_size": 16,
            "out_hidden_size": width,
            "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0],
        },
        **tokens(words),
    )
    network = Qwen3VLForConditionalGeneration(config)
    for tensor in network.parameters():
        if tensor.dim() > 1:
            torch.nn.init.normal_(tensor, std=0.15)
    network.save_pretrained(folder)
    videos = Qwen3VLVideoProcessor(patch_size=16, merge_size=2)
    Qwen3VLProcessor(
        image_processor=images(16), tokenizer=words, video_processor=videos, chat_template=TEMPLATE
    ).save_pretrained(folder)
    return folder


def qwen2_vl(scorer: Path, skeleton: Path) -> Any:
    """A Qwen2-VL as HPSv3 publishes it: settings in one folder, weights with a head in one file of old names, in another."""
    from safetensors.torch import save_file
    from transformers import Qwen2VLConfig, Qwen2VLModel, Qwen2VLProcessor, Qwen2VLVideoProcessor

    torch.manual_seed(0)
    words = tokenizer()
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e4}
    settings = {
        "text_config": {**TEXT, "vocab_size": len(words), "rope_parameters": rope},
        "vision_config": {"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "patch_size": 14},
    }
    Qwen2VLConfig(**settings, **tokens(words)).save_pretrained(skeleton)
    Qwen2VLProcessor(
        image_processor=images(14),
        tokenizer=words,
        video_processor=Qwen2VLVideoProcessor(patch_size=14),
        chat_template=TEMPLATE,
    ).save_pretrained(skeleton)
    settings["text_config"]["vocab_size"] = len(words) + 1  # for the reward's token
    network = Qwen2VLModel(Qwen2VLConfig(**settings, **tokens(words))).eval()
    head = torch.nn.Sequential(
        *(torch.nn.Linear(32, 24), torch.nn.ReLU(), torch.nn.Dropout(0.05), torch.nn.Linear(24, 16)),
        *(torch.nn.ReLU(), torch.nn.Linear(16, 2)),
    ).eval()
    for tensor in (*network.parameters(), *head.parameters()):
        if tensor.dim() > 1:
            torch.nn.init.normal_(tensor, std=0.15)
    old = {name.replace("language_model.", "model."): tensor for name, tensor in network.state_dict().items()}
    old["lm_head.weight"] = torch.zeros(len(words) + 1, 32)
    save_file(
        {
            k: v.contiguous()
            for k, v in (old | {f"rm_head.{k}": v for k, v in head.state_dict().items()}).items()
        },
        scorer / "HPSv3.safetensors",
    )
    return network, head
