"""The noise prompt dataset on disk: pairs of noises, where they led, and how the metrics liked it.

    collection.json     what decides a pair besides prompt and seed
    00000.safetensors   source, target (n, C, h, w): x_T and x′_T; source_latents, target_latents: the samples from both
    00000.jsonl         a line a pair: prompt, seed, scores {metric: {"weights", "source": s_0, "target": s_0′}}

A shard is there when its lines are. Both files are written under another name first and then renamed, the lines last, so
what stops a run costs the shard at work and no other. Latents are kept because decoding is cheap beside sampling: a metric
can be added to pairs that are there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from noisekit.errors import BadValue, CorruptWeights
from noisekit.rewards.checkpoint import DAMAGE, damaged

TENSORS = ("source", "target", "source_latents", "target_latents")

Line = dict[str, Any]


@dataclass(frozen=True)
class Shard:
    """Some pairs of a collection; `lines` and the rows of `tensors()` are in the same order."""

    path: Path  # without a suffix
    lines: Sequence[Line]

    def tensors(self) -> dict[str, Tensor]:
        """The four tensors of `TENSORS`."""
        file = self.path.with_suffix(".safetensors")
        try:
            tensors = load_file(file)
            if [len(tensors[name]) for name in TENSORS] != [len(self.lines)] * len(TENSORS):
                raise ValueError(f"it does not hold {len(self.lines)} pairs")
        except DAMAGE as error:
            raise damaged(file, error) from error
        return tensors

    def write(self, tensors: Mapping[str, Tensor] | None = None) -> None:
        """Put the lines, and before them the tensors where they are new, in their place at once."""
        if tensors is not None:
            fresh = self.path.with_suffix(".safetensors.new")
            save_file({name: tensors[name].detach().cpu().contiguous() for name in TENSORS}, fresh)
            fresh.replace(self.path.with_suffix(".safetensors"))
        fresh = self.path.with_suffix(".jsonl.new")
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in self.lines)
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(self.path.with_suffix(".jsonl"))


class Collection:
    """A folder of shards that all came about in the same way, `about`."""

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.folder, self.about = folder, about

    @classmethod
    def read(cls, folder: str | Path) -> Collection:
        """Raise `BadValue` where there is none."""
        file = Path(folder) / "collection.json"
        try:
            return cls(Path(folder), json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise BadValue(
                f"{str(folder)!r} holds no pairs ({type(error).__name__} at collection.json); make some with "
                "`noisekit npnet collect`"
            ) from None

    @classmethod
    def prepare(cls, folder: str | Path, about: Mapping[str, Any]) -> Collection:
        """Begin a collection, or go on with one; raise `BadValue` where another way of collecting began it."""
        path = Path(folder)
        try:
            path.mkdir(parents=True, exist_ok=True)
            if not (path / "collection.json").exists():
                if any(path.iterdir()):
                    raise BadValue(f"folder {str(path)!r} holds other files and no pairs; use an empty one")
                (path / "collection.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise BadValue(f"folder {str(path)!r} cannot be written: {error.strerror or error}") from None
        there = cls.read(path)
        differ = [name for name in about if there.about.get(name) != json.loads(json.dumps(about[name]))]
        if differ:
            raise BadValue(
                f"the pairs in {str(path)!r} were collected with another {' and '.join(differ)}; use another folder"
            )
        return there

    def shards(self) -> list[Shard]:
        """All shards in the order of writing."""
        return list(self._shards())

    def _shards(self) -> Iterator[Shard]:
        for file in sorted(self.folder.glob("*.jsonl")):
            try:
                lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
            except (OSError, ValueError) as error:
                raise CorruptWeights(
                    f"{str(file)!r} does not read as pairs ({error}); delete it to collect them again"
                ) from None
            yield Shard(file.with_suffix(""), lines)

    def add(self, lines: Sequence[Line], tensors: Mapping[str, Tensor]) -> Shard:
        """Write a new shard behind the others."""
        numbers = [int(shard.path.name) for shard in self._shards()]
        shard = Shard(self.folder / f"{max(numbers, default=-1) + 1:05d}", lines)
        shard.write(tensors)
        return shard

    def __len__(self) -> int:
        """The number of pairs."""
        return sum(len(shard.lines) for shard in self._shards())


@dataclass(frozen=True)
class Pairs:
    """Pairs in memory: prompts, source and target (N, C, h, w), and how many there were before the filter."""

    prompts: Sequence[str]
    source: Tensor
    target: Tensor
    collected: int

    def __len__(self) -> int:
        return len(self.prompts)


def load_pairs(collection: Collection, metric: str | None = None, margin: float = 0.0) -> Pairs:
    """The pairs with s_0 + margin < s_0′ by `metric`, or all of them where it is None.

    Raises `BadValue` where pairs have no score by that metric, or none are left.
    """
    prompts, sources, targets, collected = [], [], [], 0
    for shard in collection.shards():
        collected += len(shard.lines)
        kept = [i for i, line in enumerate(shard.lines) if metric is None or _gain(line, metric) > margin]
        if kept:
            tensors = shard.tensors()
            prompts += [shard.lines[i]["prompt"] for i in kept]
            sources.append(tensors["source"][kept])
            targets.append(tensors["target"][kept])
    if not prompts:
        raise BadValue(
            f"none of the {collected} pairs in {str(collection.folder)!r} gain more than {margin:g} by "
            f"{metric}; lower the margin or collect more pairs"
        )
    return Pairs(prompts, torch.cat(sources), torch.cat(targets), collected)


def _gain(line: Line, metric: str) -> float:
    """s_0′ − s_0 of a pair."""
    scores = line["scores"].get(metric)
    if scores is None:
        raise BadValue(
            f"pairs have no score by {metric!r} (scored by: {', '.join(line['scores']) or 'nothing'}); score them "
            "with `noisekit npnet collect --metrics`, or train with --no-filter"
        )
    return float(scores["target"] - scores["source"])


def fingerprint(values: Mapping[str, Any]) -> str:
    """Sixteen digits of SHA-256 over canonical JSON: whether two identities are the same."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
