"""Prompts as a family's encoders leave them: encoded once, kept up to a bound, and laid side by side.

Some families encode each prompt to a length of its own, with a mask that says which tokens are there. Side by side the
shorter ones are filled up with zeros at the end, and so are their masks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

#: What an encoder makes of prompts, by name, (B, …) each.
Encoded = Mapping[str, Tensor]

#: Bytes of encoded prompts that are kept: a suite's for most encoders, and 70 prompts where one takes 31 MB.
KEPT = 2 << 30


class Texts:
    """Encodes prompts `batch` at a time and keeps what came out; what was asked for longest ago is forgotten first."""

    def __init__(self, encode: Callable[[Sequence[str]], Encoded], batch: int) -> None:
        self._encode, self._batch = encode, batch
        self._kept: dict[str, Encoded] = {}
        self._held = 0
        self.most = KEPT

    def __call__(self, prompts: Sequence[str]) -> list[Encoded]:
        """What the encoder makes of each prompt, (1, …) each, on the CPU."""
        wanted = dict.fromkeys(prompts)
        found = {text: self._kept.pop(text) for text in wanted if text in self._kept}
        fresh = [text for text in wanted if text not in found]
        for start in range(0, len(fresh), self._batch):
            texts = fresh[start : start + self._batch]
            tensors = {name: tensor.cpu() for name, tensor in self._encode(texts).items()}
            for i, text in enumerate(texts):
                found[text] = {name: tensor[i : i + 1].clone() for name, tensor in tensors.items()}
                self._held += _bytes(found[text])
        self._kept |= found
        while self._held > self.most:
            self._held -= _bytes(self._kept.pop(next(iter(self._kept))))
        return [found[text] for text in prompts]

    def forget(self) -> None:
        """Give up everything that was kept."""
        self._kept.clear()
        self._held = 0


def _bytes(encoded: Encoded) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in encoded.values())


def of_one_length(encoded: Sequence[Encoded]) -> list[Encoded]:
    """Encoded prompts with every tensor filled up with zeros to the longest of its name."""
    longest: dict[str, int] = {}
    for name, tensor in chain.from_iterable(one.items() for one in encoded):
        longest[name] = max(longest.get(name, 0), tensor.shape[1] if tensor.dim() > 1 else 0)
    return [{name: _filled(tensor, longest[name]) for name, tensor in one.items()} for one in encoded]


def _filled(tensor: Tensor, length: int) -> Tensor:
    lacking = length - tensor.shape[1] if tensor.dim() > 1 else 0
    return pad(tensor, (0, 0) * (tensor.dim() - 2) + (0, lacking)) if lacking > 0 else tensor


def masked(states: Sequence[Tensor]) -> Encoded:
    """States of prompts (L_i, D), each of a length of its own, as "text" (B, L, D) with the "mask" (B, L) of those there."""
    there = [torch.ones(len(one), dtype=torch.bool, device=one.device) for one in states]
    return {
        "text": pad_sequence(list(states), batch_first=True),
        "mask": pad_sequence(there, batch_first=True),
    }


def room(tokenizer: Any, template: str, tokens: int) -> int:
    """How many tokens of a prompt an encoder of `tokens` reads beside those of a template, given around nothing."""
    return tokens - len(tokenizer(template).input_ids)


def unread(reader: tuple[Any, int], prompts: Sequence[str]) -> dict[str, str]:
    """The prompts that are not read whole by a tokenizer of so many tokens, with the reason: unknown words, or cut ones."""
    tokenizer, longest = reader
    reasons = {}
    for text in dict.fromkeys(prompts):
        length = len(tokenizer(text).input_ids)
        if length > longest:
            reasons[text] = f"{length} tokens, cut to {longest}"
        unknown = [word for word in text.split() if _is_unknown(word, tokenizer)]
        if unknown:
            reasons[text] = f"words that the text encoder does not know: {', '.join(unknown[:5])}"
    return reasons


def _is_unknown(word: str, tokenizer: Any) -> bool:
    special = tokenizer.unk_token_id in (None, tokenizer.eos_token_id, tokenizer.pad_token_id)
    return not special and tokenizer.unk_token_id in tokenizer(word).input_ids
