"""The word-level tokenizer that all tiny text towers share: one entry a word of the grammar, and four special
ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from noisekit.world.grammar import WORDS

LENGTH = 18  # the longest caption has 16 words and commas
SPECIAL = ("<pad>", "<unk>", "<bos>", "<eos>")
VOCABULARY = SPECIAL + WORDS
PAD, BOS, EOS = 0, 2, 3


def tokenizer(vocabulary: Sequence[str] = VOCABULARY, length: int = LENGTH) -> PreTrainedTokenizerFast:
    """Lower-cases, splits into words and punctuation, adds <bos> and <eos>; unknown words become <unk>.

    vocabulary: all tokens in the order of their ids, with <pad> first. length: tokens of the longest text.
    """
    model = models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>")
    plain = Tokenizer(model)
    plain.normalizer = normalizers.Lowercase()
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    plain.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>",
        special_tokens=[(token, vocabulary.index(token)) for token in ("<bos>", "<eos>")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=plain,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<bos>",
        eos_token="<eos>",
        model_max_length=length,
    )


def encode(tokens: PreTrainedTokenizerFast, captions: Sequence[str]) -> torch.Tensor:
    """Token ids (n, L) for the tokenizer's length L, padded and truncated."""
    batch = tokens(list(captions), padding="max_length", truncation=True, return_tensors="pt")
    return batch.input_ids
