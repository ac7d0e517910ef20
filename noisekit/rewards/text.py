"""Text features, encoded once per distinct prompt and then kept, the least recently used going first."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

#: Prompts kept per reward; 1024 numbers each at most, so 16 MB.
KEPT = 4096


class TextFeatures:
    """`features(prompts)` gives (B, D). encode: token ids and mask, both (n, L), to features (n, D)."""

    def __init__(self, tokenizer: Any, length: int, encode: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.tokenizer, self.length, self.encode = tokenizer, length, encode
        self._kept: OrderedDict[str, Tensor] = OrderedDict()

    @torch.no_grad()
    def __call__(self, prompts: Sequence[str]) -> Tensor:
        if fresh := [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._kept]:
            tokens = self.tokenizer(
                fresh, padding=True, truncation=True, max_length=self.length, return_tensors="pt"
            )
            self._warn_of_cuts(fresh)
            self._kept.update(
                zip(fresh, self.encode(tokens["input_ids"], tokens["attention_mask"]), strict=True)
            )
        for prompt in prompts:
            self._kept.move_to_end(prompt)
        features = torch.stack([self._kept[prompt] for prompt in prompts])
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return features

    def _warn_of_cuts(self, prompts: Sequence[str]) -> None:
        for prompt, ids in zip(prompts, self.tokenizer(prompts, verbose=False)["input_ids"], strict=True):
            if len(ids) > self.length:
                warnings.warn(
                    f"a reward reads only the first {self.length} of the {len(ids)} tokens of prompt {prompt[:60]!r}",
                    stacklevel=2,
                )
