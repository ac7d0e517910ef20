"""Tokenizers in the files that their publishers uploaded, with the few words that toys need."""

from __future__ import annotations

import io
import json
import string
from functools import cache
from pathlib import Path
from typing import Any

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


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def settings(path: Path, content: Any) -> None:
    text(path, json.dumps(content, indent=2) + "\n")
