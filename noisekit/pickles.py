"""Files that torch has pickled, read as data: nothing that they name is imported or called.

A pickle is a program that names classes and functions, and `torch.load` imports and calls those that it knows. Here a name
never reaches the import system: `find_class` gives a function of this file for the few names that tensors are rebuilt with.
What runs can still be made to hang or to fill the memory, and so

    keys      are texts, numbers, or tuples of them: to hash tuples within tuples may never end, and nothing interrupts it
    sets      are lists
    calls     take few arguments, and copy nothing that is already there
    reads     are counted, and storages are no larger than the file

Both of torch's formats are read: the archive (a zip file with data.pkl and a file a storage) and the older stream of
pickles that ends in the storages.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import torch
from torch import Tensor

from noisekit.errors import CorruptWeights, NoisekitError
from noisekit.files import whole

#: What begins a file of the older format.
MAGIC = 0x1950A86A20F9469CFC6C
DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}

#: The functions that make a tensor of a storage, or a parameter of a tensor.
REBUILD = ("_rebuild_tensor_v2", "_rebuild_tensor", "_rebuild_parameter", "_rebuild_parameter_with_state")

#: Bytes and reads of a pickle, storages not counted. The largest published one, MPS with all its modules, takes a fifth.
LARGEST = 16 * 2**20
READS = 1_000_000
#: Arguments of a call, axes of a tensor and parts of a key.
FEW = 64


def read_pickle(file: Path) -> Any:
    """What a file of torch holds where that is tensors, numbers and texts in dictionaries and lists; sets are lists.

    Raises `CorruptWeights` where the file is damaged, or names anything else.
    """
    with reading(file, Plain) as (root, stored):
        holder = [root]
        seen: set[int] = set()
        waiting: list[Any] = [holder]
        while waiting:
            place = waiting.pop()
            if id(place) in seen:
                continue
            seen.add(id(place))
            for key, value in list(place.items() if isinstance(place, dict) else enumerate(place)):
                if isinstance(value, View):
                    place[key] = value.tensor(stored)
                elif isinstance(value, dict | list):
                    waiting.append(value)
        return holder[0]


def write_pickle(content: Any, file: Path) -> None:
    """Save with torch, or leave what was there; raises `OSError`."""
    with (
        whole(file) as part,
        part.open("wb") as stream,
    ):  # of a file that it opens itself torch tells no system error
        torch.save(content, stream)


@contextmanager
def reading(file: Path, reader: type[Unpickler]) -> Iterator[tuple[Any, Stored]]:
    """What a file of torch holds, its tensors as `View`s, and what reads the numbers of their storages."""
    try:
        with file.open("rb") as stream:
            zipped = stream.read(4) == b"PK\3\4"
        if zipped:
            with zipfile.ZipFile(file) as archive:
                yield _from_archive(archive, file.stat().st_size, reader)
        else:
            with file.open("rb") as stream:
                yield _from_stream(stream, file.stat().st_size, reader)
    except NoisekitError:
        raise
    except Foreign as error:
        raise CorruptWeights(
            f"{str(file)!r} asks for {error} to be loaded, and only tensors are: it names code, which is never run here, "
            "and it was not run; take the file from its authors again, or find a safetensors version"
        ) from None
    except Exception as error:  # a pickle can raise anything
        early = "it ends too early" if isinstance(error, EOFError) else type(error).__name__
        reason = ascii(next(iter(str(error).splitlines()), "") or early)[1:-1]
        raise CorruptWeights(
            f"{str(file)!r} is damaged, or is no file of torch with tensors ({reason[:200]}); copy it again"
        ) from error


class Foreign(ValueError):
    """A pickle names what is no part of tensors."""


class Storage(NamedTuple):
    """A run of numbers in the file."""

    key: str
    dtype: torch.dtype
    length: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.length * self.dtype.itemsize


#: Gives the bytes of a storage.
Stored = Callable[[Storage], bytearray]


class View(NamedTuple):
    """A tensor that is still to be read."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def tensor(self, stored: Stored) -> Tensor:
        """Tensors of one storage share its memory."""
        data = stored(self.storage)
        if not data:
            return torch.zeros(self.size, dtype=self.storage.dtype)
        numbers = torch.frombuffer(data, dtype=self.storage.dtype)
        return numbers.as_strided(self.size, self.stride, self.offset)


class StorageType(NamedTuple):
    """Stands for torch's storage classes."""

    dtype: torch.dtype


class StandIn:
    """Stands for everything else that a pickle names: takes any arguments, keeps any state, does nothing."""

    def __new__(cls, *arguments: Any, **settings: Any) -> StandIn:
        made = object.__new__(cls)
        made.state = None
        return made

    def __init__(self, *arguments: Any, **settings: Any) -> None: ...

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def append(self, value: Any) -> None: ...

    def extend(self, values: Any) -> None: ...

    def add(self, value: Any) -> None: ...

    def __setitem__(self, key: Any, value: Any) -> None: ...

    state: Any


class Table(dict):
    """Stands for dictionaries that remember their order; attributes that they had are dropped."""

    def __setstate__(self, state: Any) -> None: ...


# What follows has no attributes, so that a pickle has nothing to set.


class Tables:
    """Stands for the class of such dictionaries."""

    __slots__ = ()

    def __call__(self) -> Table:
        return Table()


class Sets:
    """Stands for the class of sets, which here are the lists that they are made of."""

    __slots__ = ()

    def __call__(self, members: Any = None) -> Any:
        return [] if members is None else members


class Rebuilt:
    """Stands for the function that makes a tensor of a storage, or a parameter of a tensor."""

    __slots__ = ()

    def __call__(self, part: Any, *rest: Any) -> View:
        if isinstance(part, View):
            return part
        offset, size, stride = rest[:3]
        if not (isinstance(part, Storage) and _natural(offset) and _axes(size) and _axes(stride)):
            raise ValueError("a tensor is described by something else than whole numbers")
        last = sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if math.prod(size) > part.length or (math.prod(size) and offset + last >= part.length):
            raise ValueError("a tensor is larger than its storage")
        return View(part, offset, tuple(size), tuple(stride))


def _natural(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _axes(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) <= FEW and all(_natural(n) for n in value)


def _key(value: Any) -> Any:
    """What may be the key of a dictionary: what is hashed at once."""
    parts = value if type(value) is tuple and len(value) <= FEW else (value,)
    if not all(isinstance(part, str | bytes | int | float | StandIn | None) for part in parts):
        raise ValueError(f"a dictionary has a {type(value).__name__} of other things as a key")
    return value


def _arguments(value: Any) -> Any:
    if not (isinstance(value, tuple | dict) and len(value) <= FEW):
        raise ValueError("a call takes something else than a few arguments")
    return value


def _nothing(_: list[Any]) -> None:
    raise ValueError("it asks for memory without filling it")


#: What is asked of the stack before an opcode does what it does elsewhere.
GUARDS: dict[bytes, Callable[[list[Any]], object]] = {
    pickle.SETITEM: lambda stack: _key(stack[-2]),
    pickle.SETITEMS: lambda stack: [_key(key) for key in stack[::2]],
    pickle.DICT: lambda stack: [_key(key) for key in stack[::2]],
    pickle.REDUCE: lambda stack: _arguments(stack[-1]),
    pickle.NEWOBJ: lambda stack: _arguments(stack[-1]),
    pickle.NEWOBJ_EX: lambda stack: [_arguments(part) for part in stack[-2:]],
    pickle.BYTEARRAY8: _nothing,
}
#: Opcodes of sets, and those of lists that stand for them.
LISTS = {
    pickle.EMPTY_SET: pickle.EMPTY_LIST,
    pickle.ADDITEMS: pickle.APPENDS,
    pickle.FROZENSET: pickle.LIST,
}


def _opcodes() -> dict[int, Callable[[Any], None]]:
    usual = pickle._Unpickler.dispatch
    found = usual | {theirs[0]: usual[ours[0]] for theirs, ours in LISTS.items()}
    for opcode, guard in GUARDS.items():
        found[opcode[0]] = partial(_guarded, guard, usual[opcode[0]])
    found[pickle.FRAME[0]] = _frame
    return found


def _frame(reader: Any) -> None:
    """What is read at once would be hidden from the count; without its frame it reads the same."""
    reader.read(8)


def _guarded(guard: Callable[[list[Any]], object], usual: Callable[[Any], None], reader: Any) -> None:
    guard(reader.stack)
    usual(reader)


class Unpickler(pickle._Unpickler):
    """Reads a pickle as data. Names that are no part of tensors are given `StandIn`s."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(stream, encoding="utf-8")
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in DTYPES:
            return StorageType(DTYPES[name])
        if module == "torch._utils" and name in REBUILD:
            return Rebuilt()
        if (module, name) == ("collections", "OrderedDict"):
            return Tables()
        if module in ("builtins", "__builtin__") and name in ("set", "frozenset"):
            return Sets()
        return self.other(module, name)

    def other(self, module: str, name: str) -> Any:
        """What stands for a name that is no part of tensors."""
        return StandIn

    def persistent_load(self, pid: Any) -> Any:
        if not (isinstance(pid, tuple) and 0 < len(pid) <= FEW):
            raise ValueError("a storage is described by something else than its type and length")
        if pid[0] == "module":  # the older format keeps a class's source beside it
            return self.other("module", "source")
        kind, storage, key, _, count = pid[:5]
        described = isinstance(storage, StorageType) and _natural(count) and isinstance(key, str | int)
        if kind != "storage" or not described:
            raise ValueError("a storage is described by something else than its type and length")
        found = Storage(str(key), storage.dtype, count)
        self.storages[found.key] = found
        return found

    dispatch = _opcodes()


class Plain(Unpickler):
    """Reads tensors, numbers and texts alone."""

    def other(self, module: str, name: str) -> Any:
        if module == "torch" and (
            name in ("Size", "device") or isinstance(vars(torch).get(name), torch.dtype)
        ):
            return StandIn
        raise Foreign(ascii(f"{module}.{name}")[1:-1][:100])


class Counted(io.BytesIO):
    """The bytes of a pickle, for so many reads."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.left = READS

    def read(self, size: int | None = -1) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise ValueError(f"it takes more than {READS} steps to read")
        return super().read(size)


def _from_archive(archive: zipfile.ZipFile, size: int, reader: type[Unpickler]) -> tuple[Any, Stored]:
    entries = {entry.filename: entry for entry in archive.infolist()}
    found = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(found) != 1:
        raise ValueError(f"it is an archive with {len(found)} times data.pkl")
    folder = found[0].removesuffix("data.pkl")
    if f"{folder}constants.pkl" in entries:
        raise ValueError("it is a program in TorchScript")
    if sum(entry.file_size for entry in archive.infolist()) > size:
        raise ValueError("what its parts hold is together larger than the file")

    def read(entry: zipfile.ZipInfo, expected: int) -> bytes:
        if entry.file_size != expected or entry.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{entry.filename!r} is not as long as its tensor says, or compressed")
        return archive.read(entry)

    index = entries[found[0]]
    if index.file_size > LARGEST:
        raise ValueError(f"its pickle is larger than {LARGEST >> 20} MiB")
    order = entries.get(f"{folder}byteorder")
    if order and read(order, len(b"little")) != b"little":
        raise ValueError("its numbers are stored with the highest byte first")
    kept: dict[str, bytearray] = {}

    def stored(storage: Storage) -> bytearray:
        name = f"{folder}data/{storage.key}"
        if name not in entries:
            raise ValueError(f"storage {storage.key!r} is missing")
        if name not in kept:
            kept[name] = bytearray(read(entries[name], storage.size))
        return _whole(kept[name], storage)

    return reader(Counted(read(index, index.file_size))).load(), stored


def _from_stream(stream: IO[bytes], size: int, reader: type[Unpickler]) -> tuple[Any, Stored]:
    head = Counted(stream.read(LARGEST))
    if Plain(head).load() != MAGIC:
        raise ValueError("it does not begin as torch's files do")
    Plain(head).load()  # the version
    system = Plain(head).load()
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise ValueError("its numbers are stored with the highest byte first")
    unpickler = reader(head)
    root, keys = unpickler.load(), Plain(head).load()
    stream.seek(head.tell())
    kept: dict[str, bytearray] = {}
    for key in keys if isinstance(keys, list) else []:
        storage = unpickler.storages[_key(key)]
        (count,) = struct.unpack("<q", stream.read(8))
        if count != storage.length or storage.size > size - stream.tell():
            raise ValueError(f"storage {storage.key!r} is not as long as its tensor says")
        kept[storage.key] = bytearray(stream.read(storage.size))
    return root, lambda storage: _whole(kept[storage.key], storage)


def _whole(data: bytearray, storage: Storage) -> bytearray:
    if len(data) != storage.size:
        raise ValueError(f"storage {storage.key!r} is not as long as its tensor says")
    return data
