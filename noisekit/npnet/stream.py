"""Pairs as training reads them: shard after shard, in a shuffled order, and never more than a bound in memory.

    order of an epoch     a permutation p of all kept pairs
    parts                 shards in the order in which p first comes to them, as many together as `HELD` bytes hold
    within a part         its pairs in the order of p

A part is what a shuffle buffer would hold: where all pairs fit into one, the order is p itself. What comes depends on p
alone, so reading can begin at any batch, and the parts before it are not even opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from noisekit.errors import BadValue, CorruptWeights
from noisekit.npnet.pairs import Collection, Shard, filters, gain

#: Bytes of noises that a part of an epoch holds; the part that is read ahead takes as much again.
HELD = 128 * 2**20

#: What a traceback puts before what was said.
PREFIX = f"{CorruptWeights.__module__}.{CorruptWeights.__name__}: "


class Batch(NamedTuple):
    """Prompts, and noises before and after, (n, C, h, w)."""

    prompts: list[str]
    source: Tensor
    target: Tensor


@dataclass(frozen=True)
class Kept:
    """Which pairs of a collection: the shards that have some, and their rows in each; and how many there were at all."""

    shards: Sequence[Path]
    rows: Sequence[np.ndarray]
    collected: int

    def __len__(self) -> int:
        return sum(map(len, self.rows))

    def read(self, i: int) -> Batch:
        """The kept pairs of shard i; raises `CorruptWeights` where they cannot be trained on."""
        shard, rows = Shard.read(self.shards[i]), self.rows[i]
        tensors = shard.tensors(("source", "target"))
        source, target = (tensor[torch.from_numpy(rows).long()] for tensor in tensors.values())
        if not (torch.isfinite(source).all() and torch.isfinite(target).all()):
            raise CorruptWeights(
                f"{str(shard.path)!r}.safetensors holds noises that are not finite; delete its two files to collect its "
                "pairs again, in fp32 if half precision made them so"
            )
        return Batch([shard.lines[row]["prompt"] for row in rows], source, target)

    def where(self, chosen: Sequence[np.ndarray]) -> Kept:
        """Those of its pairs for which a mask a shard is true."""
        kept = [
            (shard, rows[mask])
            for shard, rows, mask in zip(self.shards, self.rows, chosen, strict=True)
            if mask.any()
        ]
        return Kept([shard for shard, _ in kept], [rows for _, rows in kept], self.collected)


def select(collection: Collection, metric: str | None = None, margin: float = 0.0) -> Kept:
    """The pairs with s_0 + margin < s_0′, s_0 and s_0′ the scores of the images of the noise and of the better one.

    Args:
        collection: of pairs.
        metric: that scored them, or several with commas between them (None: all pairs are kept).
        margin: by how much the better one must be better, by each of them.

    Raises:
        BadValue: where pairs have no score by that metric, or none are left.
    """
    shards, rows, collected, judges = [], [], 0, filters(metric)
    for shard, fresh in collection.distinct():
        collected += len(fresh)
        gaining = [i for i in fresh if all(gain(shard.lines[i], name) > margin for name in judges)]
        if gaining:
            shards.append(shard.path)
            rows.append(np.array(gaining, dtype=np.int32))
    if not shards:
        raise BadValue(
            f"none of the {collected} pairs in {str(collection.folder)!r} gain more than {margin:g} by "
            f"{metric}; lower the margin or collect more pairs"
        )
    return Kept(shards, rows, collected)


def split(kept: Kept, seed: int) -> tuple[Kept, Kept]:
    """All but a tenth of the prompts, at least one, and the pairs of those for validation."""
    prompts = sorted({text for i in range(len(kept.shards)) for text in _prompts(kept, i)})
    if len(prompts) < 2:
        raise BadValue(f"{len(kept)} pairs of one prompt leave none for validation; collect more prompts")
    order = np.random.default_rng(seed).permutation(len(prompts))
    chosen = {prompts[i] for i in order[: max(1, len(prompts) // 10)]}
    inside = [np.array([text in chosen for text in _prompts(kept, i)]) for i in range(len(kept.shards))]
    return kept.where([~mask for mask in inside]), kept.where(inside)


def _prompts(kept: Kept, i: int) -> list[str]:
    lines = Shard.read(kept.shards[i]).lines
    return [lines[row]["prompt"] for row in kept.rows[i]]


def batches(kept: Kept, order: Tensor, size: int, start: int = 0, held: int = HELD) -> Iterator[Batch]:
    """The pairs in batches, from batch `start` on, the last of which may be smaller.

    order: a permutation of their numbers, shard by shard. Where they do not all fit in `held` bytes a process reads the next
    part while one is being trained on.
    """
    stream = Stream(kept, order, size, start, held)
    workers = 0 if len(stream.parts()) == 1 else 1
    # A generator of its own, or a loader draws from the one that drop path draws from.
    loader = DataLoader(stream, batch_size=None, num_workers=workers, generator=torch.Generator())
    try:
        yield from loader
    except CorruptWeights as error:  # that of another process comes with its traceback in its words
        raise CorruptWeights(str(error).strip().splitlines()[-1].removeprefix(PREFIX)) from None


class Stream(IterableDataset[Batch]):
    """What `batches` gives."""

    def __init__(self, kept: Kept, order: Tensor, size: int, start: int, held: int) -> None:
        self.kept, self.order, self.size, self.start, self.held = kept, order, size, start, held

    def parts(self) -> list[np.ndarray]:
        """The numbers of the shards of each part, in the order of the permutation."""
        counts = np.array([len(rows) for rows in self.kept.rows])
        owners = np.repeat(np.arange(len(counts)), counts)[self.order.numpy()]
        met, first = np.unique(owners, return_index=True)
        shards = met[np.argsort(first)]
        ends = np.cumsum(counts[shards]) * (2 * self._first[0].numel() * self._first.element_size())
        numbers = np.maximum(ends - 1, 0) // self.held
        return np.split(shards, np.flatnonzero(np.diff(numbers)) + 1)

    @cached_property
    def _first(self) -> Tensor:
        """A noise (1, C, h, w) as all of them are."""
        return self.kept.read(0).source[:1]

    def _read(self, i: int) -> Batch:
        found = self.kept.read(i)
        if found.source.shape[1:] != self._first.shape[1:]:
            raise CorruptWeights(
                f"{str(self.kept.shards[i])!r}.safetensors holds noises of another shape than the shards before it"
            )
        return found

    def _together(self, part: np.ndarray) -> Batch:
        """The kept pairs of some shards, each of which is in memory beside them for no longer than it is read."""
        number, prompts = sum(len(self.kept.rows[i]) for i in part), list[str]()
        source, target = (self._first.new_empty((number, *self._first.shape[1:])) for _ in range(2))
        for i in part:
            found, start = self._read(i), len(prompts)
            prompts += found.prompts
            source[start : len(prompts)], target[start : len(prompts)] = found.source, found.target
        return Batch(prompts, source, target)

    def __iter__(self) -> Iterator[Batch]:
        counts = np.array([len(rows) for rows in self.kept.rows])
        offsets, owners = np.cumsum(counts) - counts, np.repeat(np.arange(len(counts)), counts)
        order, skip, rest = self.order.numpy(), self.start * self.size, list[Batch]()
        for part in self.parts():
            if skip >= (own := counts[part].sum()):
                skip -= own
                continue
            moved = np.zeros(
                len(counts), dtype=np.int64
            )  # from a pair's number to its place among those that are read
            moved[part] = np.cumsum(counts[part]) - counts[part] - offsets[part]
            mine = order[np.isin(owners, part)[order]][skip:]
            places, read = mine + moved[owners[mine]], self._together(part)
            while len(places):
                lacking = self.size - sum(len(one.prompts) for one in rest)
                rest.append(_taken(read, places[:lacking]))
                if len(rest[-1].prompts) == lacking:
                    yield _joined(rest)
                    rest = []
                places = places[lacking:]
            del read  # before the next part is read
            skip = 0
        if rest:
            yield _joined(rest)


def _joined(parts: Sequence[Batch]) -> Batch:
    prompts = [text for part in parts for text in part.prompts]
    return Batch(prompts, torch.cat([p.source for p in parts]), torch.cat([p.target for p in parts]))


def _taken(batch: Batch, rows: np.ndarray) -> Batch:
    where = torch.from_numpy(rows)
    return Batch([batch.prompts[row] for row in rows], batch.source[where], batch.target[where])
