"""The cells of a comparison: one image each, and how the missing ones are put into batches."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TypeVar

from noisekit.prompts import Prompt

Item = TypeVar("Item")
Batch = tuple[list[Prompt], list[int]]


def batches(
    prompts: Sequence[Prompt], seeds: Sequence[int], done: Collection[tuple[str, int]], size: int
) -> Iterator[Batch]:
    """Cover exactly the (prompt, seed) that are not `done`, as ids, with products of prompts and seeds up to `size`.

    A method takes every seed of every prompt that it is given, so prompts with the same missing seeds go together.
    """
    groups: dict[tuple[int, ...], list[Prompt]] = {}
    for prompt in prompts:
        missing = tuple(seed for seed in seeds if (prompt.id, seed) not in done)
        groups.setdefault(missing, []).append(prompt)
    for missing, alike in groups.items():
        for some_seeds in _chunks(missing, size):
            for some_prompts in _chunks(alike, max(1, size // len(some_seeds))):
                yield list(some_prompts), list(some_seeds)


def _chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
