"""The noise prompt dataset on disk: pairs of noises, where they led, and how the metrics liked it.

    collection.json     what decides a pair besides prompt and seed
    00000.safetensors   source, target (n, C, h, w): x_T and x′_T; source_latents, target_latents: the samples from both
    00000.jsonl         a line a pair: prompt, seed, scores {metric: {"weights", "by", "source": s_0, "target": s_0′}}, with
                        the hash and the name of the weights that scored

A shard is there when its lines are. Both files are written whole, the lines last, so what stops a run costs the shard at
work and no other. Any number of processes may add to a collection: each writes while it alone holds the folder, to shards of
its own, and adds scores to what the lines say by then. What two of them made alike counts once. Latents are kept because
decoding is cheap beside sampling: a metric can be added to pairs that are there.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from noisekit.errors import BadValue, CorruptWeights, NoisekitError
from noisekit.files import kept, only_writer, parse_json, read_json, whole, write_json, write_whole
from noisekit.paths import given_path
from noisekit.rewards.folders import DAMAGE, damaged

COLLECTION = "collection.json"
TENSORS = ("source", "target", "source_latents", "target_latents")

#: Seconds after which a writer gives up waiting for another, who only holds the folder while it writes.
PATIENCE = 600.0

#: Bytes of the lines of a shard: many times that is what they take in memory.
LARGEST_LINES = 64 * 2**20

Line = dict[str, Any]


@dataclass(frozen=True)
class Shard:
    """Some pairs of a collection; `lines` and the rows of `tensors()` are in the same order."""

    path: Path  # without a suffix
    lines: Sequence[Line]

    @classmethod
    def read(cls, path: Path) -> Shard:
        """Raise `CorruptWeights` where the lines are no pairs."""
        file = path.with_suffix(".jsonl")
        try:
            with file.open("rb") as stream:
                content = stream.read(LARGEST_LINES + 1)
            if len(content) > LARGEST_LINES:
                raise ValueError(f"it is larger than {LARGEST_LINES >> 20} MiB")
            lines = [_line(text, n) for n, text in enumerate(content.decode().splitlines(), 1)]
        except (OSError, ValueError) as error:
            raise CorruptWeights(
                f"{str(file)!r} does not read as pairs ({error}); delete it to collect them again"
            ) from None
        return cls(path, lines)

    def tensors(self, names: Sequence[str] = TENSORS) -> dict[str, Tensor]:
        """Some of the tensors of `TENSORS`, of which no others are read."""
        file = self.path.with_suffix(".safetensors")
        try:
            with safe_open(file, "pt") as stored:
                shapes = {name: stored.get_slice(name).get_shape() for name in TENSORS}
                tensors = {name: stored.get_tensor(name) for name in names}
            if {shape[0] if shape else None for shape in shapes.values()} != {len(self.lines)}:
                raise ValueError(f"it does not hold {len(self.lines)} pairs")
            if len(shapes["source"]) != 4 or shapes["source"] != shapes["target"]:
                raise ValueError("its noises are not (n, C, h, w), before and after")
            if not all(tensor.is_floating_point() for tensor in tensors.values()):
                raise ValueError("it holds other than floating-point numbers")
        except DAMAGE as error:
            raise damaged(file, error) from error
        return tensors

    def add_scores(self, scores: Sequence[Mapping[str, Any]]) -> None:
        """Add the scores {metric: …} of each pair to what its line says by now; raises `Unwritable` on a full disk."""
        with kept(self.path.parent), only_writer(self.path.parent, PATIENCE):
            there = Shard.read(self.path).lines
            _write_lines(
                self.path,
                [line | {"scores": line["scores"] | own} for line, own in zip(there, scores, strict=True)],
            )


def _line(text: str, number: int) -> Line:
    """A line of a shard; raises `ValueError` unless it is a pair."""
    line = parse_json(text)
    if not isinstance(line, dict) or not isinstance(line.get("prompt"), str):
        raise ValueError(f"line {number} names no prompt")
    line["prompt"].encode()  # halves of characters are no text
    if type(line.get("seed")) is not int or not 0 <= line["seed"] < 2**63:
        raise ValueError(f"the seed of line {number} is no whole number of 0 or more")
    scores = line.get("scores")
    if not isinstance(scores, dict) or not all(isinstance(score, dict) for score in scores.values()):
        raise ValueError(f"line {number} has no scores by metrics")
    if not all(_number(score.get(end)) for score in scores.values() for end in ("source", "target")):
        raise ValueError(f"a score of line {number} is no number")
    return line


def _number(value: Any) -> bool:
    """Whether a value may be a score: none is that of an image that a metric cannot judge."""
    if value is None:
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


def _write_lines(path: Path, lines: Sequence[Line]) -> None:
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    write_whole(path.with_suffix(".jsonl"), text.encode())


class Collection:
    """A folder of shards that all came about in the same way, `about`."""

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.folder, self.about = folder, about

    @classmethod
    def read(cls, folder: str | Path) -> Collection:
        """Raise `BadValue` where there is none, `CorruptWeights` where it does not read."""
        file = given_path(folder) / COLLECTION
        try:
            about = read_json(file)
            if not isinstance(about, dict):
                raise ValueError("it holds no object")
        except OSError as error:
            raise BadValue(
                f"{str(folder)!r} holds no pairs ({type(error).__name__} at {COLLECTION}); make some with "
                "`noisekit npnet collect`"
            ) from None
        except ValueError as error:
            raise CorruptWeights(f"{str(file)!r} does not say how its pairs came about ({error})") from None
        return cls(given_path(folder), about)

    def said(self, name: str) -> Any:
        """A value of `about`; raises `CorruptWeights` where it is missing."""
        if name not in self.about:
            raise CorruptWeights(
                f"{str(self.folder / COLLECTION)!r} lacks {name!r}; take the file from where the pairs were collected"
            )
        return self.about[name]

    @classmethod
    def prepare(cls, folder: str | Path, about: Mapping[str, Any]) -> Collection:
        """Begin a collection, or go on with one.

        Args:
            folder: where it lies.
            about: how its pairs are collected, which has to be the same each time.

        Raises:
            BadValue: where another way of collecting began it, or the folder cannot be written.
        """
        path = given_path(folder)
        try:
            foreign = path.is_dir() and not (path / COLLECTION).exists()
            if foreign and any(file.name[0] != "." for file in path.iterdir()):
                raise BadValue(f"folder {str(path)!r} holds other files and no pairs; use an empty one")
            with only_writer(path, PATIENCE):
                if not (path / COLLECTION).exists():
                    write_json(path / COLLECTION, about)
        except NoisekitError:
            raise
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
        """All shards in the order of writing, with all their lines."""
        return list(self.each())

    def each(self) -> Iterator[Shard]:
        """The shards one after another, so that no more than one is in memory."""
        return (Shard.read(path) for path in self._paths())

    def _paths(self) -> list[Path]:
        files = sorted(self.folder.glob("*.jsonl"))
        if others := [file.name for file in files if not file.stem.isdecimal()]:
            raise CorruptWeights(
                f"folder {str(self.folder)!r} holds {others[0]!r}, which is no shard of pairs; take it out"
            )
        return sorted((file.with_suffix("") for file in files), key=lambda path: int(path.name))

    def add(self, lines: Sequence[Line], tensors: Mapping[str, Tensor]) -> Shard:
        """Write a new shard behind the others; raises `Unwritable` on a full disk."""
        with kept(self.folder), only_writer(self.folder, PATIENCE):
            number = max((int(path.name) for path in self._paths()), default=-1) + 1
            shard = Shard(self.folder / f"{number:05d}", lines)
            with whole(shard.path.with_suffix(".safetensors")) as part:
                save_file({name: tensors[name].detach().cpu().contiguous() for name in TENSORS}, part)
            _write_lines(shard.path, lines)
        return shard

    def distinct(self) -> Iterator[tuple[Shard, list[int]]]:
        """The shards, and which of their pairs no earlier one holds: two writers may have made the same."""
        met: set[bytes] = set()
        for shard in self.each():
            fresh = []
            for i, line in enumerate(shard.lines):
                pair = key(line["prompt"], line["seed"])
                if pair not in met:
                    met.add(pair)
                    fresh.append(i)
            yield shard, fresh

    def __len__(self) -> int:
        """The number of pairs."""
        return sum(len(fresh) for _, fresh in self.distinct())

    def mean_cosine(self) -> float:
        """Of the noises of the first shard, before and after; 1 where there is none."""
        for path in self._paths()[:1]:
            tensors = Shard.read(path).tensors()
            before, after = (tensors[name].float().flatten(1) for name in ("source", "target"))
            return torch.cosine_similarity(before, after).mean().item()
        return 1.0


def key(prompt: str, seed: int) -> bytes:
    """What tells a pair from all others: a million texts would take ten times as much memory."""
    return hashlib.blake2b(f"{seed} {prompt}".encode(), digest_size=16).digest()


def filters(metric: str | None) -> tuple[str, ...]:
    """The metrics of a filter such as "hps,pick_score", each once; none of None."""
    return tuple(dict.fromkeys(name.strip() for name in (metric or "").split(",") if name.strip()))


def gain(line: Line, metric: str) -> float:
    """s_0′ − s_0 of a pair; none where an image could not be judged."""
    scores = line["scores"].get(metric)
    if scores is None:
        raise BadValue(
            f"pairs have no score by {metric!r} (scored by: {', '.join(line['scores']) or 'nothing'}); score them "
            "with `noisekit npnet collect --metrics`, or train with --no-filter"
        )
    before, after = scores.get("source"), scores.get("target")
    return -math.inf if before is None or after is None else float(after) - float(before)


def fingerprint(values: Mapping[str, Any]) -> str:
    """Sixteen digits of SHA-256 over canonical JSON: whether two identities are the same."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def __getattr__(name: str) -> Any:
    """Scripts find the choice of pairs, which is `noisekit.npnet.stream.select`, by its former name."""
    if name == "load_pairs":
        return import_module("noisekit.npnet.stream").select
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
