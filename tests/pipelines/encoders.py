"""Text encoders of the transformer families: T5 and BERT, one token a letter, and Gemma."""

from __future__ import annotations

import string
from typing import Any


def t5_tokenizer(length: int = 64) -> Any:
    from transformers import T5Tokenizer

    letters = string.ascii_letters + string.digits + string.punctuation
    words = [
        ("<pad>", 0.0),
        ("</s>", 0.0),
        ("<unk>", 0.0),
        ("▁", -2.0),
        *((letter, -3.0) for letter in letters),
    ]
    return T5Tokenizer(vocab=words, extra_ids=0, model_max_length=length)


def t5_text(tokenizer: Any, width: int = 32) -> Any:
    from transformers import T5Config, T5EncoderModel

    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=width,
        d_kv=8,
        d_ff=37,
        num_layers=2,
        num_heads=4,
        pad_token_id=0,
        eos_token_id=1,
    )
    return T5EncoderModel(config).eval()


def bert_tokenizer(length: int = 77) -> Any:
    from transformers import BertTokenizer

    letters = string.ascii_lowercase
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *("##" + letter for letter in letters)]
    return BertTokenizer(vocab={word: i for i, word in enumerate(words)}, model_max_length=length)


def bert_text(tokenizer: Any, width: int = 32) -> Any:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=37,
        max_position_embeddings=tokenizer.model_max_length,
    )
    return BertModel(config).eval()


def gemma_tokenizer() -> Any:
    """One token a word, few of them known: SANA's instruction would have a thousand letters and more."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = [
        "<pad>",
        "<eos>",
        "<bos>",
        "<unk>",
        *"a one two red green blue circle square squares prompt".split(),
    ]
    known = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    known.pre_tokenizer = pre_tokenizers.Whitespace()
    known.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    special = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=known, padding_side="right", **special)


def gemma_text(tokenizer: Any, width: int = 8, layers: int = 1) -> Any:
    from transformers import Gemma2Config, Gemma2Model

    config = Gemma2Config(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        bos_token_id=2,
        eos_token_id=1,
        pad_token_id=0,
    )
    return Gemma2Model(config).eval()
