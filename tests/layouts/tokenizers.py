"""Tokenizers in the files that their publishers uploaded, with the few words that toys need."""

from __future__ import annotations

import io
import json
import string
from functools import cache
from pathlib import Path
from typing import Any

from tests.pipelines.chat import CHAT, PARTS

CLIP_END, EXTRA = "<|endoftext|>", [f"<extra_id_{i}>" for i in range(100)]


def clip(folder: Path, pad: str = CLIP_END) -> None:
    """vocab.json and merges.txt, without a tokenizer.json: a token a letter. The second of two pads with "!"."""
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", CLIP_END]
    start, end = (
        {"content": words[i], "lstrip": False, "normalized": True, "rstrip": False} for i in (-2, -1)
    )
    special = {"bos_token": start, "eos_token": end, "pad_token": pad, "unk_token": end}
    text(folder / "vocab.json", json.dumps({word: i for i, word in enumerate(words)}, ensure_ascii=False))
    text(folder / "merges.txt", "#version: 0.2\n")
    settings(folder / "special_tokens_map.json", special)
    marks = {
        name: value | {"__type": "AddedToken"} if isinstance(value, dict) else value
        for name, value in special.items()
    }
    own = {"do_lower_case": True, "model_max_length": 77, "tokenizer_class": "CLIPTokenizer"}
    settings(
        folder / "tokenizer_config.json", marks | own | {"name_or_path": "openai/clip-vit-large-patch14"}
    )


@cache
def _sentencepiece() -> bytes:
    """A model of T5's kind, learned from a few words."""
    import sentencepiece

    words, model = ["a red circle", "two blue squares", *string.ascii_letters], io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(words),
        model_writer=model,
        vocab_size=57,
        hard_vocab_limit=False,
        character_coverage=1.0,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    return model.getvalue()


def t5(folder: Path, length: int) -> None:
    """spiece.model, and no tokenizer.json."""
    folder.mkdir(parents=True)
    (folder / "spiece.model").write_bytes(_sentencepiece())
    special = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    settings(folder / "special_tokens_map.json", special | {"additional_special_tokens": EXTRA})
    own = {"extra_ids": 100, "legacy": True, "model_max_length": length, "tokenizer_class": "T5Tokenizer"}
    settings(
        folder / "tokenizer_config.json",
        special | own | {"additional_special_tokens": EXTRA, "sp_model_kwargs": {}},
    )


def bert(folder: Path) -> None:
    """vocab.txt."""
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    letters = string.ascii_lowercase
    text(
        folder / "vocab.txt",
        "\n".join([*special.values(), *letters, *("##" + letter for letter in letters)]) + "\n",
    )
    settings(folder / "special_tokens_map.json", special)
    own = {"do_lower_case": True, "model_max_length": 77, "tokenizer_class": "BertTokenizer"}
    settings(
        folder / "tokenizer_config.json",
        special | own | {"do_basic_tokenize": True, "tokenize_chinese_chars": True},
    )


def gemma(folder: Path) -> None:
    """tokenizer.json beside tokenizer.model: a token a letter or a byte."""
    from tokenizers import Tokenizer, decoders, models, normalizers

    folder.mkdir(parents=True)
    words = ["<pad>", "<eos>", "<bos>", "<unk>", *(f"<0x{i:02X}>" for i in range(256))]
    words += ["▁", *(chr(i) for i in range(33, 124))]
    vocabulary = {word: i for i, word in enumerate(words)}
    known = Tokenizer(
        models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    known.normalizer = normalizers.Replace(" ", "▁")
    known.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    known.add_special_tokens(words[:4])
    known.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer.model").write_bytes(b"the same for another library")
    special = {f"{word[1:-1]}_token": word for word in words[:4]}
    settings(folder / "special_tokens_map.json", special)
    own = {
        "add_bos_token": True,
        "add_eos_token": False,
        "padding_side": "right",
        "tokenizer_class": "GemmaTokenizer",
    }
    settings(folder / "tokenizer_config.json", special | own | {"model_max_length": 10**30})


def qwen(folder: Path, beside: bool) -> None:
    """vocab.json, merges.txt and tokenizer.json, a token a byte; the template of chats in the settings or in a file."""
    words = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"]
    words += ["<|image_pad|>", "<|video_pad|>", "<think>", "</think>"]
    vocabulary = _bytewise(folder, words)
    text(folder / "vocab.json", json.dumps(vocabulary, ensure_ascii=False))
    text(folder / "merges.txt", "#version: 0.2\n")
    own = {
        "add_bos_token": False,
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "unk_token": None,
    }
    own |= {"eos_token": words[2], "pad_token": words[0], "errors": "replace", "split_special_tokens": False}
    own |= {"model_max_length": 131072, "tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": {}}
    for i, word in enumerate(words, 256):
        own["added_tokens_decoder"][str(i)] = _added(word)
    _with_template(folder, own, CHAT, beside)


def mistral(folder: Path) -> None:
    """A processor: tokenizer.json, a token a byte, beside what prepares pictures, and the template of chats in a file."""
    words = ["<pad>", "<s>", "</s>", "[IMG]", "[IMG_BREAK]", "[IMG_END]", "[system]", "[user]", "[end]"]
    _bytewise(folder, words)
    own = {"bos_token": words[1], "eos_token": words[2], "pad_token": words[0], "model_max_length": 10**30}
    own |= {"additional_special_tokens": words[3:], "processor_class": "PixtralProcessor"}
    own |= {"tokenizer_class": "PreTrainedTokenizerFast", "padding_side": "right"}
    _with_template(folder, own, PARTS, beside=True)
    sees = {"image_processor_type": "PixtralImageProcessor", "patch_size": 14, "size": {"longest_edge": 1540}}
    settings(folder / "preprocessor_config.json", sees | {"processor_class": "PixtralProcessor"})
    marks = {"image_token": words[3], "image_break_token": words[4], "image_end_token": words[5]}
    settings(
        folder / "processor_config.json",
        marks | {"patch_size": 14, "processor_class": "PixtralProcessor", "spatial_merge_size": 2},
    )


def _bytewise(folder: Path, special: list[str]) -> dict[str, int]:
    """tokenizer.json of a token a byte and special ones behind them; the vocabulary of the bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    folder.mkdir(parents=True)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: i for i, letter in enumerate(letters)}
    known = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    known.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    known.decoder = decoders.ByteLevel()
    known.add_special_tokens(special)
    known.save(str(folder / "tokenizer.json"))
    return vocabulary


def _added(word: str) -> dict[str, Any]:
    off = dict.fromkeys(("lstrip", "normalized", "rstrip", "single_word"), False)
    return {"content": word, "special": True, **off}


def _with_template(folder: Path, own: dict[str, Any], template: str, beside: bool) -> None:
    if beside:
        text(folder / "chat_template.jinja", template)
    settings(folder / "tokenizer_config.json", own if beside else own | {"chat_template": template})


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def settings(path: Path, content: Any) -> None:
    text(path, json.dumps(content, indent=2) + "\n")
