"""Whole files and folders: there in full or not at all, on a full disk, after a kill and with two writers."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import resource
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies
from safetensors.torch import save_file

from noisekit import files
from noisekit.errors import CorruptWeights, Unwritable
from noisekit.files import (
    kept,
    only_writer,
    parse_json,
    read_json,
    whole,
    whole_folder,
    write_json,
    write_whole,
)
from noisekit.pickles import read_pickle, write_pickle


@contextmanager
def room(size: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes: a write takes what fits, and then fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def tensors(path: Path) -> None:
    with whole(path) as part:
        save_file({"weight": torch.zeros(4000)}, part)


WRITERS: dict[str, Callable[[Path], None]] = {
    "bytes": lambda path: write_whole(path, bytes(16_000)),
    "json": lambda path: write_json(path, {"text": "x" * 16_000}),
    "safetensors": tensors,
    "a pickle of torch": lambda path: write_pickle({"weight": torch.zeros(4000)}, path),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("size", [0, 1, 700, 9000, 15_999])
def test_a_full_disk_leaves_what_was_there_and_is_an_error_of_the_system(
    writer: str, size: int, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with room(size), pytest.raises(OSError, match="File too large") as caught:
        WRITERS[writer](path)
    assert caught.value.errno == errno.EFBIG
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"before"
    WRITERS[writer](path)
    assert path.stat().st_size >= 16_000


def test_every_place_at_which_a_checkpoint_can_be_cut_is_an_error_of_the_system(tmp_path: Path) -> None:
    path, content = tmp_path / "file.pt", {"weight": torch.zeros(99), "n": [1, 2]}
    write_pickle(content, path)
    for size in range(0, path.stat().st_size, 53):
        with room(size), pytest.raises(OSError, match="File too large"):
            write_pickle(content, path)
        assert read_pickle(path)["n"] == [1, 2]


def killed_while(job: Callable[[Callable[[], None]], None]) -> None:
    """Run a job that kills its own process when it calls what it is handed."""

    def child() -> None:
        job(lambda: os.kill(os.getpid(), signal.SIGKILL))
        os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


def test_what_a_killed_writer_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "folder"

    def half(kill: Callable[[], None]) -> None:
        with only_writer(folder), whole(folder / "file") as part:
            part.write_bytes(b"half")
            kill()

    killed_while(half)
    assert any(file.name.endswith(".part") for file in folder.iterdir())
    with only_writer(folder):
        assert sorted(file.name for file in folder.iterdir()) == [files.LOCK]


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder"

    def half(kill: Callable[[], None]) -> None:
        with whole_folder(target) as part:
            (part / "one").touch()
            kill()

    for _ in range(2):
        killed_while(half)
        assert not target.exists()
        assert len(list(target.parent.iterdir())) == 1  # that of the last one
    other = target.with_name(".folder.b.part")  # of an unknown writer
    other.mkdir()

    def fill(name: str, fail: bool = False) -> None:
        with whole_folder(target) as part:
            (part / name).touch()
            if fail:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill("one", fail=True)
    assert not target.exists()
    with whole_folder(target) as part:
        (part / "one").touch()
        with pytest.raises(KeyboardInterrupt):  # the second of two writers, while the first is at work
            fill("two", fail=True)
    with pytest.raises(Unwritable, match="is there already"):  # and after it
        fill("two")
    assert [file.name for file in target.iterdir()] == ["one"]
    assert {file.name for file in target.parent.iterdir()} == {"folder", other.name}


def test_a_second_writer_of_a_folder_is_refused_or_waits(tmp_path: Path) -> None:
    inside, done = threading.Event(), threading.Event()

    def first() -> None:
        with only_writer(tmp_path):
            inside.set()
            done.wait(10)

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait(10)
    with (
        pytest.raises(Unwritable, match=r"another process is writing to .*; wait until"),
        only_writer(tmp_path),
    ):
        pytest.fail("two writers at once")
    threading.Timer(0.2, done.set).start()
    started = time.monotonic()
    with only_writer(tmp_path, patience=10):
        assert time.monotonic() - started > 0.1
    thread.join()


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
            Unwritable,
            "cannot be written: No space left on device; what",
        ),
        (CorruptWeights("as it was"), CorruptWeights, "^as it was$"),
        (RuntimeError("as it was"), RuntimeError, "^as it was$"),
    ],
)
def test_errors_of_the_system_get_a_sentence_and_others_keep_theirs(
    error: Exception, kind: type[Exception], sentence: str, tmp_path: Path
) -> None:
    error.__context__ = OSError(errno.ENOENT, "of something else")
    with pytest.raises(kind, match=sentence), kept(tmp_path), whole(tmp_path / "file"):
        raise error


@pytest.mark.parametrize(
    "text", ["[" * 200_000, '{"a":' * 200_000, "[" * 200_000 + "]" * 200_000, "", "{", "nul"]
)
def test_json_that_does_not_read_is_a_value_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text(text)
    for read in (lambda: parse_json(text), lambda: read_json(tmp_path / "file.json")):
        with pytest.raises(ValueError):
            read()


def test_json_beyond_any_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LARGEST_JSON", 2**20)
    content: dict[str, Any] = {"a": "x" * 2**20}
    (tmp_path / "file.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="larger than 1 MiB"):
        read_json(tmp_path / "file.json")


def test_a_device_is_written_to_and_stays_one(tmp_path):
    """Renaming a file into the place of /dev/full or /dev/stdout would take it from the whole machine."""
    link = tmp_path / "full"
    link.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        write_whole(link, b"x" * 10)
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_whole(tmp_path / "pipe", b"told")
    assert os.read(reader, 10) == b"told"
    os.close(reader)
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)


VALUES = strategies.recursive(
    strategies.none() | strategies.integers() | strategies.text(max_size=5),
    lambda inside: (
        strategies.lists(inside, max_size=3)
        | strategies.dictionaries(strategies.text(max_size=3), inside, min_size=1, max_size=3)
    ),
    max_leaves=8,
)


@given(VALUES, strategies.text(max_size=5), VALUES, VALUES)
@settings(max_examples=50)
def test_a_value_that_is_named_twice_is_refused_wherever_it_stands(
    around: Any, name: str, first: Any, second: Any
) -> None:
    assert parse_json(json.dumps(around)) == around
    twice = f"{{{json.dumps(name)}: {json.dumps(first)}, {json.dumps(name)}: {json.dumps(second)}}}"
    with pytest.raises(ValueError, match="twice; take one of the two out"):
        parse_json(f'{{"deep": [{json.dumps(around)}, {twice}]}}')
