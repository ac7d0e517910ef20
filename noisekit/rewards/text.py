"""What a reward makes of a prompt before it sees an image: computed once per distinct prompt and then kept, the least
recently used going first.

Token ids are padded to the reward's full length, so that a prompt's numbers depend on no other prompt of its batch.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

#: Bytes kept per reward: 16,384 prompts as 1024 numbers each, or 200 with 1024 numbers for each of 77 tokens.
KEPT = 64 * 2**20


class PromptCache:
    """`cache(prompts)` gives what `encode` makes of B prompts, tensors (B, ...).

    encode: token ids and mask, both (n, L), to a tuple of tensors (n, ...); length: L.
    """

    def __init__(
        self, tokenizer: Any, length: int, encode: Callable[[Tensor, Tensor], tuple[Tensor, ...]]
    ) -> None:
        self.tokenizer, self.length, self.encode = tokenizer, length, encode
        self._kept: OrderedDict[str, tuple[Tensor, ...]] = OrderedDict()

    @torch.no_grad()
    def __call__(self, prompts: Sequence[str]) -> tuple[Tensor, ...]:
        if fresh := [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._kept]:
            encoded = self.encode(*token_ids(self.tokenizer, fresh, self.length))
            # Cloned, since a view of one row would keep all rows in memory.
            self._kept.update(
                {prompt: tuple(part[i].clone() for part in encoded) for i, prompt in enumerate(fresh)}
            )
        for prompt in prompts:
            self._kept.move_to_end(prompt)
        rows = [self._kept[prompt] for prompt in prompts]
        size = sum(part.nbytes for part in rows[0])  # that of every prompt
        while len(self._kept) * size > KEPT:
            self._kept.popitem(last=False)
        return tuple(torch.stack(parts) for parts in zip(*rows, strict=True))


def token_ids(tokenizer: Any, texts: Sequence[str], length: int) -> tuple[Tensor, Tensor]:
    """Token ids and their mask, 0 at padding, both (n, length); longer texts are cut, with a warning each."""
    for text, ids in zip(texts, tokenizer(list(texts), verbose=False)["input_ids"], strict=True):
        if len(ids) > length:
            warnings.warn(
                f"a reward reads only the first {length} of the {len(ids)} tokens of prompt {text[:60]!r}",
                stacklevel=2,
            )
    tokens = tokenizer(
        list(texts), padding="max_length", truncation=True, max_length=length, return_tensors="pt"
    )
    return tokens["input_ids"], tokens["attention_mask"]
