"""What is written is there in full or not at all, and two writers never mix.

A file or folder appears under its name by a rename, when all of it is on the disk. What is half-written when a process dies
has a name that begins with a dot and ends in ".part"; readers pass over it, and the next writer clears it away.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from noisekit.errors import BadValue, NoisekitError, Unwritable

#: The file by which writers of a folder wait for each other; the system gives it free when its holder dies.
LOCK = ".lock"

#: This machine in the names of half-written folders: numbers of processes mean nothing to others that see the same disk.
_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:8]

#: What the system says of a disk that takes no more.
DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}

#: Bytes from which on a file is asked whether all of it arrived: a library may close its file without asking, and a disk in
#: the network says only then that it is full.
LARGE = 2**20

#: Bytes of a JSON file of settings; many times that is what it takes in memory.
LARGEST_JSON = 16 * 2**20


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name to write a file under, which takes its place at the end; after an exception what was there stays.

    A device such as the terminal is written to directly: it keeps nothing, and a rename would put a file in its place.
    Raises `OSError` where it cannot be written, also for libraries that say so in words of their own.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        with _system_errors():
            yield path
        return
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with _system_errors():
            yield part
            if part.stat().st_size > LARGE:
                _arrived(part)
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A new folder to fill, which takes the place `path` at the end.

    What a writer of this machine that died left half-written for the same place is cleared away. Raises `Unwritable` where
    it cannot be written, or another writer has put one there by then; nothing of it is left.
    """
    part = path.with_name(f".{path.name}.{_HOST}-{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for other in path.parent.glob(f".{glob.escape(path.name)}.{_HOST}-*.part"):
            if not psutil.pid_exists(int(other.name.rsplit("-", 2)[1])):
                shutil.rmtree(other, ignore_errors=True)
        part.mkdir()
        with _system_errors():
            yield part
        part.rename(path)
    except NoisekitError:
        raise
    except OSError as error:
        if os.path.lexists(path):
            raise Unwritable(f"{str(path)!r} is there already; give a folder that is not") from None
        raise Unwritable(
            f"folder {str(path)!r} cannot be written: {error.strerror or error}; nothing of it is left: mend that, and give "
            "the same command again"
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, or leave what was there; raises `OSError`."""
    with whole(path) as part:
        part.write_bytes(content)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object as indented JSON, or leave what was there; raises `OSError`."""
    write_whole(path, (json.dumps(content, indent=2) + "\n").encode())


def check_file(path: Path, what: str = "image") -> None:
    """Raise `BadValue` unless there is a regular file: a FIFO, a socket or a device would be waited for for ever."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise BadValue(f"{what} {str(path)!r} cannot be read: {error.strerror or error}") from None
    if not stat.S_ISREG(mode):
        raise BadValue(
            f"{what} {str(path)!r} cannot be read: it is no regular file; take it out, or copy it to one"
        )


def read_json(path: Path) -> Any:
    """The content of a small JSON file; raises `OSError`, or `ValueError` on what is none, too large or nested too deep."""
    with path.open("rb") as file:
        content = file.read(LARGEST_JSON + 1)
    if len(content) > LARGEST_JSON:
        raise ValueError(f"it is larger than {LARGEST_JSON >> 20} MiB")
    return parse_json(content.decode("utf-8"))


def shipped_yaml(name: str, *, as_text: bool = False) -> Any:
    """The plain values of a YAML file that ships with noisekit, by its path within the package; numbers `as_text`."""
    import yaml  # not for whoever reads no data

    kind = "BaseLoader" if as_text else "SafeLoader"
    loader = getattr(yaml, f"C{kind}", None) or getattr(
        yaml, kind
    )  # several times as fast, where it is there
    return loader((files("noisekit") / name).read_text(encoding="utf-8")).get_single_data()


def parse_json(text: str | bytes) -> Any:
    """The value that a text is in JSON; raises `ValueError`, also on what is nested too deep or names a value twice."""
    try:
        return json.loads(text, object_pairs_hook=_named_once)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Of two values of one name some readers would take the first and some the last."""
    named = dict(pairs)
    if len(named) < len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise ValueError(f"it has {twice[:80]!r} twice; take one of the two out")
    return named


@contextmanager
def only_writer(folder: Path, patience: float = 0.0) -> Iterator[None]:
    """Hold a folder, which is made where it is not there, against other writers, in threads and processes alike.

    What a writer that died left half-written is cleared away. Raises `Unwritable` where another writer holds the folder for
    longer than `patience`, in seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / LOCK, timeout=patience):
            for part in folder.glob(".*.part"):
                if part.is_file():
                    part.unlink()
            yield
    except Timeout:
        raise Unwritable(
            f"another process is writing to {str(folder)!r}; wait until it is done, or use another folder"
        ) from None


@contextmanager
def kept(place: Path, what: str = "folder") -> Iterator[None]:
    """Say that nothing was lost where something cannot be written: `OSError` becomes `Unwritable`."""
    try:
        yield
    except NoisekitError:
        raise
    except OSError as error:
        raise Unwritable(
            f"{what} {str(place)!r} cannot be written: {error.strerror or error}; what it holds is kept, and the same "
            "command goes on from there"
        ) from None


def _arrived(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _system_errors() -> Iterator[None]:
    """Errors of the system that a library has wrapped, as what they were: torch raises others after them, and safetensors
    puts their number into words."""
    try:
        yield
    except NoisekitError:
        raise
    except Exception as error:
        link: BaseException | None = error
        while link is not None:
            found = re.search(r"\(os error (\d+)\)", str(link))
            number = link.errno if isinstance(link, OSError) else found and int(found[1])
            if number in DISK:
                raise OSError(number, os.strerror(number)) from error
            link = link.__cause__ or link.__context__
        raise
