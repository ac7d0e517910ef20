"""Artefacts and pairs by a hostile hand: whatever their JSON and their tensors hold, one sentence that names the file."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from noisekit.errors import BadValue, CorruptWeights
from noisekit.golden_seeds.ranking import FILE, SeedRanking
from noisekit.npnet.checkpoint import load_network, read_card, save_artefact
from noisekit.npnet.network import NPNet, NPNetConfig
from noisekit.npnet.pairs import COLLECTION, TENSORS, Collection
from noisekit.paths import BUNDLED
from tests.npnet.made import SMALL, everything

ABSURD = [
    None,
    True,
    -1,
    0,
    1.5,
    1e300,
    float("nan"),
    float("inf"),
    2**31,
    2**64,
    10**40,
    "",
    "x\0",
    "\ud800",
    [],
    [1],
    {},
    [[]],
]

#: Values of any JSON, and those that programs stumble over.
values = st.sampled_from(ABSURD) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)

DEEP = {"lists": "[" * 200_000, "objects": '{"a":' * 200_000, "closed": "[" * 200_000 + "]" * 200_000}


def outcome(read: Callable[[], Any], name: str) -> Any:
    """What is read, or nothing where it was refused in a sentence that names the file."""
    try:
        return read()
    except (CorruptWeights, BadValue) as error:
        sentence = str(error)
    assert name in sentence and "\n" not in sentence and len(sentence) < 900
    return None


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ranking of seeds, a network and a collection of pairs, of which each test spoils a file."""
    folder = tmp_path_factory.mktemp("artefacts")
    save_artefact(folder, NPNet(SMALL), {"metric": "hps"})
    return folder


def ranking() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((BUNDLED / "golden_seeds" / "tiny" / FILE).read_text())
    return content


def pair(**changes: Any) -> dict[str, Any]:
    scores = {"hps": {"weights": "w", "source": 0.0, "target": 1.0}}
    return {"prompt": "a", "seed": 0, "scores": scores} | changes


@pytest.mark.parametrize("form", DEEP)
def test_files_that_are_nested_too_deep_are_named(form: str, tmp_path: Path) -> None:
    save_artefact(tmp_path, NPNet(SMALL), {})
    readers: dict[str, Callable[[], Any]] = {
        FILE: lambda: SeedRanking.read(tmp_path),
        "card.json": lambda: read_card(tmp_path),
        "config.json": lambda: load_network(tmp_path),
        "00000.jsonl": lambda: Collection.read(tmp_path).shards(),
        COLLECTION: lambda: Collection.read(tmp_path),
    }
    (tmp_path / COLLECTION).write_text("{}")
    for name, read in readers.items():
        (tmp_path / name).write_text(DEEP[form])
        with pytest.raises(CorruptWeights, match=name):
            read()


@settings(max_examples=150, deadline=None)
@given(key=st.sampled_from(sorted(ranking())), value=values)
def test_any_ranking_of_seeds_serves_or_is_named(place: Path, key: str, value: Any) -> None:
    content = ranking() | {key: value}
    (place / FILE).write_text(json.dumps(content))
    found = outcome(lambda: SeedRanking.read(place), FILE)
    if found is not None:
        assert len(found.noises(1)) == 1
        assert hash(found.metric) is not None
        assert json.loads(json.dumps(asdict(found)))


@pytest.mark.parametrize(
    "seeds", [[2**64, 1], [True, 1], [-1], [1.0], ["1"], [], [3, 3], {"1": 2}, None, 7, [[1]]]
)
def test_seeds_that_are_none_are_refused(place: Path, seeds: Any) -> None:
    (place / FILE).write_text(json.dumps(ranking() | {"seeds": seeds}))
    with pytest.raises(CorruptWeights, match=r"seeds\.json' does not read as a ranking"):
        SeedRanking.read(place)


@settings(max_examples=100, deadline=None)
@given(key=st.sampled_from(sorted(SMALL.json())), value=values)
def test_any_configuration_of_a_network_loads_or_is_named(place: Path, key: str, value: Any) -> None:
    (place / "config.json").write_text(json.dumps(SMALL.json() | {key: value}))
    found = outcome(lambda: load_network(place), str(place))
    assert found is None or found.config == SMALL or found.config.heads != SMALL.heads


@pytest.mark.parametrize(
    "key", ["size", "tokens", "width", "hidden", "expansion", "image", "window", "embed"]
)
def test_sizes_without_measure_take_no_memory(place: Path, key: str) -> None:
    (place / "config.json").write_text(json.dumps(SMALL.json() | {key: 2**20}))
    with pytest.raises(CorruptWeights, match=str(place)):
        load_network(place)
    with pytest.raises(BadValue, match="whole numbers of 1 or more"):
        NPNetConfig(**{key: 2**40})


@settings(max_examples=50, deadline=None)
@given(value=values)
def test_any_card_of_a_network_is_read_or_named(place: Path, value: Any) -> None:
    for content in ({"metric": value}, value):
        (place / "card.json").write_text(json.dumps(content))
        card = outcome(lambda: read_card(place), "card.json")
        assert card is None or isinstance(card.get("metric"), str | None)


@settings(max_examples=150, deadline=None)
@given(
    content=st.fixed_dictionaries({"prompt": values, "seed": values, "scores": values})
    | values.map(lambda value: pair(seed=value))
    | values.map(lambda value: pair(prompt=value))
    | values.map(lambda value: pair(scores={"hps": value}))
    | values.map(lambda value: pair(scores={"hps": {"source": value, "target": 1.0}}))
    | values
)
def test_any_line_of_pairs_is_read_or_named(tmp_path_factory: pytest.TempPathFactory, content: Any) -> None:
    folder = tmp_path_factory.getbasetemp() / "pairs"
    folder.mkdir(exist_ok=True)
    (folder / COLLECTION).write_text("{}")
    save_file({name: torch.zeros(1, 4, 2, 2) for name in TENSORS}, folder / "00000.safetensors")
    (folder / "00000.jsonl").write_text(json.dumps(content) + "\n")
    for metric in (None, "hps"):
        outcome(lambda metric=metric: everything(Collection.read(folder), metric, margin=-9.0), "pairs")


TENSOR_DAMAGES: dict[str, Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]] = {
    "one lacks": lambda t: {name: t[name] for name in TENSORS[1:]},
    "too few pairs": lambda t: t | {"target": t["target"][:1]},
    "another shape": lambda t: t | {"target": t["target"][:, :2]},
    "flat": lambda t: {name: tensor.flatten(1) for name, tensor in t.items()},
    "whole numbers": lambda t: t | {"source": t["source"].long()},
    "complex numbers": lambda t: t | {"source": t["source"].to(torch.complex64)},
    "not finite": lambda t: t | {"target": t["target"] / 0},
    "of a scalar": lambda t: t | {"source": torch.tensor(1.0)},
}


@pytest.mark.parametrize("damage", TENSOR_DAMAGES)
def test_noises_that_are_none_are_named(damage: str, tmp_path: Path) -> None:
    (tmp_path / COLLECTION).write_text("{}")
    (tmp_path / "00000.jsonl").write_text("".join(json.dumps(pair(seed=seed)) + "\n" for seed in (0, 1)))
    tensors = TENSOR_DAMAGES[damage]({name: torch.ones(2, 4, 2, 2) for name in TENSORS})
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, tmp_path / "00000.safetensors")
    with pytest.raises(CorruptWeights, match=r"00000.*safetensors"):
        everything(Collection.read(tmp_path))


@pytest.mark.parametrize("name", ["x.jsonl", "00001.extra.jsonl", "²².jsonl"])
def test_what_is_no_shard_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / COLLECTION).write_text("{}")
    (tmp_path / name).write_text(json.dumps(pair()) + "\n")
    with pytest.raises(CorruptWeights, match="is no shard of pairs"):
        everything(Collection.read(tmp_path))


def with_header(file: Path, header: bytes, length: int | None = None) -> None:
    content = file.read_bytes()
    (before,) = struct.unpack("<Q", content[:8])
    size = len(header) if length is None else length
    file.write_bytes(struct.pack("<Q", size) + header + content[8 + before :])


def shifted(header: dict[str, Any], by: int) -> dict[str, Any]:
    """The last tensor's place moved, so that it overlaps another or leaves the file."""
    name = sorted(name for name in header if name != "__metadata__")[-1]
    entry = header[name] | {"data_offsets": [place + by for place in header[name]["data_offsets"]]}
    return header | {name: entry}


HEADERS: dict[str, Callable[[dict[str, Any]], tuple[bytes, int | None]]] = {
    "a length beyond the file": lambda h: (json.dumps(h).encode(), 2**40),
    "a length of 2^64 − 1": lambda h: (json.dumps(h).encode(), 2**64 - 1),
    "no length": lambda h: (b"", 0),
    "nested deep": lambda h: (b'{"a":' * 100_000, None),
    "overlapping": lambda h: (json.dumps(shifted(h, -4)).encode(), None),
    "outside": lambda h: (json.dumps(shifted(h, 2**40)).encode(), None),
    "negative": lambda h: (json.dumps(shifted(h, -(2**40))).encode(), None),
    "an unknown type": lambda h: (json.dumps(h).replace("F32", "F33").encode(), None),
    "another type": lambda h: (json.dumps(h).replace("F32", "I32").encode(), None),
    "a smaller type": lambda h: (json.dumps(h).replace("F32", "F16").encode(), None),
    "absurd shapes": lambda h: (
        json.dumps(h).replace('"shape": [', '"shape": [4611686018427387904, ').encode(),
        None,
    ),
    "no object": lambda h: (b"[]", None),
    "no text": lambda h: (b"\xff\xfe{}", None),
}


@pytest.mark.parametrize("what", HEADERS)
def test_a_header_of_tensors_that_lies_is_named(what: str, tmp_path: Path) -> None:
    save_artefact(tmp_path, NPNet(SMALL), {})
    file = tmp_path / "model.safetensors"
    (length,) = struct.unpack("<Q", file.read_bytes()[:8])
    with_header(file, *HEADERS[what](json.loads(file.read_bytes()[8 : 8 + length])))
    with pytest.raises(CorruptWeights, match=r"model\.safetensors") as caught:
        load_network(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool, torch.complex64, torch.float8_e4m3fn])
def test_tensors_of_another_type_load_as_they_mean_or_are_named(dtype: torch.dtype, tmp_path: Path) -> None:
    save_artefact(tmp_path, NPNet(SMALL), {})
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    save_file(tensors | {"svd.mlp4.2.bias": tensors["svd.mlp4.2.bias"].to(dtype)}, file)
    found = outcome(lambda: load_network(tmp_path), "model.safetensors")
    assert (found is not None) == dtype.is_floating_point
