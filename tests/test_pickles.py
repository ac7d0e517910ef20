"""The reader of torch's pickles: what torch wrote comes back, and what is hostile is refused in a sentence, for little."""

from __future__ import annotations

import io
import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noisekit import pickles
from noisekit.errors import CorruptWeights
from noisekit.pickles import MAGIC, read_pickle, write_pickle
from noisekit.rewards.published.pickled import read_module

#: Steps that these tests allow a pickle, and the bytes of memory that so many may take.
STEPS = 20_000
LITTLE = 64 * 2**20


def archive(content: bytes, file: Path) -> None:
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("any/data.pkl", content)
        zipped.writestr("any/data/0", struct.pack("<4f", 1, 2, 3, 4))


def stream(content: bytes, file: Path) -> None:
    head = (MAGIC, 1001, {"little_endian": True})
    file.write_bytes(b"".join(pickle.dumps(part, 2) for part in head) + content + pickle.dumps([], 2))


def trained() -> dict[str, Any]:
    """What a training keeps: a network, its optimiser, numbers and texts."""
    network = torch.nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    return {
        "network": network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "history": [{"train": 0.5, "validation": None}],
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "kinds": {str(t): torch.ones(3).to(t) for t in pickles.DTYPES.values()},
        "tied": network.weight.detach()[:, 1:],
    }


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("protocol", [2, 4])
def test_what_torch_wrote_comes_back(old: bool, protocol: int, tmp_path: Path) -> None:
    content = trained()
    torch.save(content, tmp_path / "a.pt", pickle_protocol=protocol, _use_new_zipfile_serialization=not old)
    assert same(read_pickle(tmp_path / "a.pt"), content)
    write_pickle(content, tmp_path / "a.pt")
    found = read_pickle(tmp_path / "a.pt")
    assert same(found, torch.load(tmp_path / "a.pt", weights_only=True))
    shared = found["network"]["weight"], found["tied"]
    assert shared[0].untyped_storage().data_ptr() == shared[1].untyped_storage().data_ptr()


def outcome(read: Callable[[Path], Any], file: Path) -> Any:
    """What a file holds, or nothing where it was refused in a sentence that names it."""
    try:
        return read(file)
    except CorruptWeights as error:
        sentence = str(error)
    assert file.name in sentence and "\n" not in sentence and len(sentence) < 500
    return None


def doubled(levels: int = 60) -> bytes:
    """A tuple of two of a tuple of two of …: what hashes, prints or compares it never ends."""
    return b")" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(levels))


STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\n%bX\x03\x00\x00\x00cpu%btQ"
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n(" + STORAGE + b"%btR"
KEY, FOUR, VECTOR = b"X\x01\x00\x00\x000", b"K\x04", b"K\x00(K\x04t(K\x01t"
HUGE = b"\x8a\x08" + (2**62).to_bytes(8, "little")

#: Pickles by what they would do to a reader that trusts them.
BOMBS: dict[str, bytes] = {
    "a key that takes for ever to hash": b"}" + doubled() + b"K\x01s.",
    "keys that take for ever to hash": b"}(" + doubled() + b"K\x01u.",
    "a dictionary of such a key": b"(" + doubled() + b"K\x01d.",
    "a set of such a member": b"cbuiltins\nset\n(](" + doubled() + b"etR.",
    "a frozen set": b"(" + doubled() + b"\x91.",
    "a member that is added": b"\x8f(" + doubled() + b"\x90.",
    "an ordered dictionary of pairs": b"ccollections\nOrderedDict\n((" + doubled() + b"K\x01ttR.",
    "a storage whose name never ends": b"}K\x00" + TENSOR % (doubled(), FOUR, VECTOR) + b"s.",
    "a persistent id that never ends": doubled() + b"Q.",
    "a text as a persistent id": b"Pname\n.",
    "a key as deep as the stack": b"})" + b"\x85" * 200_000 + b"Ns.",
    "many dictionaries": b"(" + b"}" * 200_000 + b"l.",
    "many marks": b"(" * 200_000 + b".",
    "many sets in a frame": b"\x80\x04\x95" + (200_000).to_bytes(8, "little") + b"(" + b"\x8f" * 200_000 + b"l.",
    "arguments without number": b"cx\ny\nq\x00(" + b"N" * 99_000 + b"tq\x01" + b"h\x00h\x01R0" * 90_000 + b"N.",
    "bytes that are not there": b"\x80\x05\x96" + (1 << 45).to_bytes(8, "little") + b".",
    "a text that is not there": b"\x80\x04\x8d" + (1 << 45).to_bytes(8, "little") + b".",
    "a frame that is not there": b"\x80\x04\x95" + (1 << 62).to_bytes(8, "little") + b"N.",
    "the last place of a memory": b"Nr\xff\xff\xff\x7f.",
    "a number of a million digits": b"L" + b"9" * 1_000_000 + b"L\n.",
    "a storage of an absurd length": b"}K\x00" + TENSOR % (KEY, HUGE, VECTOR) + b"s.",
    "a storage of a negative length": b"}K\x00" + TENSOR % (KEY, b"J\xff\xff\xff\xff", VECTOR) + b"s.",
    "axes without number": b"}K\x00" + TENSOR % (KEY, FOUR, b"K\x00(" + b"K\x01" * 900 + b"tq\x01h\x01") + b"s.",
    "axes of absurd lengths": b"}K\x00" + TENSOR % (KEY, FOUR, b"K\x00(" + HUGE * 60 + b"t(" + HUGE * 60 + b"t") + b"s.",
    "an array of bytes by its length": b"cbuiltins\nbytearray\n(" + HUGE + b"tR.",
    "an extension": b"\x82\x01.",
    "nothing on the stack": b"0.",
    "nothing": b"",
}  # fmt: skip


@pytest.mark.parametrize("write", [archive, stream])
@pytest.mark.parametrize("what", BOMBS)
def test_a_bomb_is_refused_for_little(
    what: str,
    write: Callable[[bytes, Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pickles, "READS", STEPS)
    file = tmp_path / "bomb.pt"
    write(BOMBS[what], file)
    for read in (read_pickle, read_module):
        tracemalloc.start()
        found = outcome(read, file)
        taken = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert taken < LITTLE
        assert not isinstance(found, dict)  # what is no dictionary of tensors serves nobody


def rezipped(
    source: bytes, change: Callable[[zipfile.ZipInfo, bytes], tuple[str, bytes, int] | None]
) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(source)) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            if changed := change(entry, old.read(entry)):
                new.writestr(changed[0], changed[1], changed[2])
    return target.getvalue()


#: Archives by what is wrong with them, made of a good one.
ARCHIVES: dict[str, Callable[[bytes], bytes]] = {
    "a compressed pickle": lambda good: rezipped(
        good, lambda e, b: (e.filename, b + b" " * 10_000_000, 8 if "pkl" in e.filename else 0)
    ),
    "a pickle beyond any": lambda good: rezipped(
        good, lambda e, b: (e.filename, b + b" " * (17 * 2**20) if "pkl" in e.filename else b, 0)
    ),
    "compressed storages": lambda good: rezipped(good, lambda e, b: (e.filename, b, 8)),
    "no storages": lambda good: rezipped(good, lambda e, b: None if "/data/" in e.filename else (e.filename, b, 0)),
    "longer storages": lambda good: rezipped(
        good, lambda e, b: (e.filename, b + b"1" if "/data/" in e.filename else b, 0)
    ),
    "no pickle": lambda good: rezipped(good, lambda e, b: None if "pkl" in e.filename else (e.filename, b, 0)),
    "two pickles": lambda good: rezipped(
        good, lambda e, b: (e.filename.replace("archive/byteorder", "other/data.pkl"), b, 0)
    ),
    "absolute paths": lambda good: rezipped(good, lambda e, b: (f"/etc/{e.filename}", b, 0)),
    "the highest byte first": lambda good: good.replace(b"little", b"big   "),
    "a program in TorchScript": lambda good: rezipped(
        good, lambda e, b: (e.filename.replace("byteorder", "constants.pkl"), b, 0)
    ),
    "half": lambda good: good[: len(good) // 2],
    "its end alone": lambda good: good[len(good) // 2 :],
    "no zip": lambda good: b"PK\3\4" + bytes(100),
}  # fmt: skip


@pytest.mark.parametrize("what", ARCHIVES)
def test_a_damaged_or_hostile_archive_is_refused(what: str, tmp_path: Path) -> None:
    file = tmp_path / "archive.pt"
    torch.save({"weight": torch.rand(999)}, file)
    file.write_bytes(ARCHIVES[what](file.read_bytes()))
    for read in (read_pickle, read_module):
        with pytest.raises(CorruptWeights, match=r"archive\.pt") as caught:
            read(file)
        assert "\n" not in str(caught.value)


def test_parts_that_are_one_place_of_the_file_are_refused(tmp_path: Path) -> None:
    """A thousand entries of an archive may name the same bytes, and be a thousand times the file together."""
    file = tmp_path / "overlap.pt"
    torch.save({"weight": torch.rand(2**16)}, file)
    with zipfile.ZipFile(file, "a") as zipped:
        (entry,) = (entry for entry in zipped.infolist() if entry.filename.endswith("/data/0"))
        for i in range(1, 40):
            again = zipfile.ZipInfo(f"overlap/data/{i}")
            for name in ("header_offset", "file_size", "compress_size", "CRC"):
                setattr(again, name, getattr(entry, name))
            zipped.filelist.append(again)
        zipped._didModify = True  # type: ignore[attr-defined]
    with pytest.raises(CorruptWeights, match="together larger than the file"):
        read_pickle(file)


def test_a_torchscript_archive_says_what_it_is(tmp_path: Path) -> None:
    file = tmp_path / "script.pt"
    torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)).save(file)
    for read in (read_pickle, read_module):
        with pytest.raises(CorruptWeights, match=r"script\.pt.*TorchScript"):
            read(file)


MODULE, MODULES = b"cx\ny\n)R}", b"X\x08\x00\x00\x00_modules"
LONG_NAME = b"X" + (900).to_bytes(4, "little") + b"n" * 900


@pytest.mark.parametrize(
    "content",
    [
        MODULE + MODULES + b"}" + LONG_NAME + b"q\x01" + MODULE + MODULES + b"}h\x01Nssbssb.",
        MODULE + MODULES + b"(" + b"".join(b"K%cN" % i for i in range(256)) + b"dsb.",
    ],
    ids=["long names", "names that are numbers"],
)  # fmt: skip
def test_names_of_modules_cannot_grow_beyond_any(content: bytes, tmp_path: Path) -> None:
    """A few kilobytes must not become gigabytes of names."""
    archive(content, tmp_path / "module.pt")
    with pytest.raises(CorruptWeights, match=r"module\.pt.*a part has no name, or a longer one"):
        read_module(tmp_path / "module.pt")


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    file = tmp_path_factory.mktemp("whole") / "a.pt"
    found = []
    for old in (False, True):
        torch.save(
            {"a": {"w": torch.rand(3)}, "n": [1, 0.5, "x"]}, file, _use_new_zipfile_serialization=not old
        )
        found.append(file.read_bytes())
    return found


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_file_that_was_changed_anywhere_is_read_or_refused(
    data: st.DataObject, whole_files: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(data.draw(st.sampled_from(whole_files)))
    for _ in range(data.draw(st.integers(1, 4))):
        where = data.draw(st.integers(0, len(content) - 1))
        content[where : where + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    file = tmp_path_factory.getbasetemp() / "changed.pt"
    file.write_bytes(content)
    for read in (read_pickle, read_module):
        outcome(read, file)


OPCODES = [bytes([code]) for code in pickle._Unpickler.dispatch]


@settings(max_examples=200, deadline=None)
@given(opcodes=st.lists(st.sampled_from(OPCODES), max_size=30), rest=st.binary(max_size=20))
def test_any_opcodes_are_read_or_refused(
    opcodes: list[bytes], rest: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "opcodes.pt"
    archive(b"".join(opcodes) + rest, file)
    for read in (read_pickle, read_module):
        outcome(read, file)
