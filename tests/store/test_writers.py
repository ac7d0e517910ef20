"""Writers: many at once, killed in the middle of a line, on a disk that is full, and on one that may not be written."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from noisekit.comparison import compare
from noisekit.errors import BadValue, Unwritable
from noisekit.methods import load_method
from noisekit.results import load_run
from noisekit.store.store import Store
from tests.engine.toys import COSINE, PROMPTS, SELECTION, CountingModel
from tests.store.lines import image


def together(*jobs: Callable[[], None]) -> list[int]:
    """Run each job in a process of its own, all at once; their exit codes, negative for signals."""
    context = multiprocessing.get_context("fork")
    ready = context.Barrier(len(jobs))

    def child(job: Callable[[], None]) -> None:
        ready.wait()
        job()
        os._exit(0)

    processes = [context.Process(target=child, args=(job,)) for job in jobs]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    return [process.exitcode if process.exitcode is not None else 1 for process in processes]


def write(folder: Path, writer: str, appends: int = 40) -> None:
    with Store.prepare(folder, "per_prompt") as store:
        for number in range(appends):
            store.append("rows", [image(f"{writer}-{number}-{i}", kind="ü" * 1000) for i in range(5)])


def test_many_processes_begin_and_fill_one_store(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "store"
    codes = together(*(lambda name=name: write(folder, name) for name in "abcdef"))  # type: ignore[misc]
    assert codes == [0] * 6
    rows = Store.read(folder).lines("rows")
    assert sorted(row["id"] for row in rows) == sorted(
        f"{w}-{n}-{i}" for w in "abcdef" for n in range(40) for i in range(5)
    )
    assert len(list((folder / "rows").iterdir())) == 6
    own = [row["id"] for row in rows if row["id"].startswith("a-")]
    assert own == [f"a-{n}-{i}" for n in range(40) for i in range(5)]
    assert sorted(file.name for file in folder.iterdir() if file.name[0] == ".") == []


def test_a_writer_that_dies_within_a_line_harms_nobody(tmp_path: Path) -> None:
    def dies() -> None:
        store = Store.prepare(tmp_path, "per_prompt")
        store.append("rows", [image("dies-0")])
        (file,) = (tmp_path / "rows").glob(f"{store._writer}*")
        with file.open("ab") as half:
            half.write('{"id": "dies-1", "kind": "ü'.encode()[:-1])
        os.kill(os.getpid(), signal.SIGKILL)

    assert together(dies, lambda: write(tmp_path, "lives", 10)) == [-signal.SIGKILL, 0]
    write(tmp_path, "later", 1)
    expected = [
        "dies-0",
        *(f"lives-{n}-{i}" for n in range(10) for i in range(5)),
        *(f"later-0-{i}" for i in range(5)),
    ]
    store = Store.read(tmp_path)
    assert sorted(row["id"] for row in store.lines("rows")) == sorted(expected)
    assert sorted(store.columns("rows", {"id": "key"})["id"]) == sorted(expected)


@contextmanager
def room(size: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes: a write takes what fits, and then fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_an_append_that_finds_no_room_leaves_whole_lines(tmp_path: Path) -> None:
    with Store.prepare(tmp_path, "per_prompt") as store:
        store.append("rows", [image("first", kind="x" * 100)])
        (file,) = (tmp_path / "rows").iterdir()
        before = file.read_bytes()
        with (
            room(2000),
            pytest.raises(Unwritable, match=r"cannot be written: File too large; what it holds is kept"),
        ):
            store.append("rows", [image(f"lost {i}", kind="x" * 100) for i in range(20)])
        assert file.read_bytes() == before
        store.append("rows", [image("second")])
    assert [row["id"] for row in Store.read(tmp_path).lines("rows")] == ["first", "second"]


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    store = Store.prepare(tmp_path, "per_prompt")
    (tmp_path / "scores" / f"{store._writer}.jsonl").symlink_to("/dev/full")
    store.append("rows", [image("a")])
    with pytest.raises(
        Unwritable, match="No space left on device; what it holds is kept, and the same command goes on"
    ):
        store.append("scores", [image("a")])
    store.append("rows", [image("b")])
    assert [row["id"] for row in Store.read(tmp_path).lines("rows")] == ["a", "b"]


@pytest.mark.parametrize("kind", ["image", "noise"])
def test_a_file_that_finds_no_room_is_not_there(tmp_path: Path, kind: str) -> None:
    store = Store.prepare(tmp_path, "per_prompt")
    draw = torch.Generator().manual_seed(0)

    def save(seed: int) -> None:
        content = torch.rand(3, 64, 64, generator=draw)
        store.save_image("x", content, {}) if kind == "image" else store.save_noise("x", content)

    with room(1000), pytest.raises(Unwritable, match="File too large"):
        save(0)
    assert not list(tmp_path.glob("*/*x*")) and not list(tmp_path.glob("*/.*"))
    save(1)
    (file,) = tmp_path.glob("*/*x*")
    whole = file.read_bytes()
    with room(1000), pytest.raises(Unwritable):
        save(2)
    assert file.read_bytes() == whole


def test_a_run_that_finds_no_room_goes_on_later(tmp_path: Path) -> None:
    def run(store: Path) -> None:
        compare(CountingModel(), SELECTION, PROMPTS, metrics=["truth"], store=store, batch=1, progress=False)

    with room(4500), pytest.raises(Unwritable, match="File too large"):
        run(tmp_path / "full")
    kept = {row["id"] for row in Store.read(tmp_path / "full").lines("rows")}
    assert 0 < len(kept) < 6
    run(tmp_path / "full")
    run(tmp_path / "whole")
    rows = Store.read(tmp_path / "full").lines("rows")
    assert len(rows) == len({row["id"] for row in rows}) == 6
    columns = ["method", "prompt", "seed", "image", "truth"]
    full, whole = (load_run(tmp_path / name).frame()[columns] for name in ("full", "whole"))
    assert full.equals(whole)


def test_a_store_that_may_only_be_read_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.prepare(tmp_path, "per_prompt") as store:
        store.append("rows", [image("a")])
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    for name in (
        "write_bytes",
        "touch",
        "mkdir",
        "replace",
    ):  # tests may run as somebody who is allowed everything
        monkeypatch.setattr(Path, name, _denied)
    assert (
        len(Store.read(tmp_path).lines("rows"))
        == len(Store.read(tmp_path).columns("rows", {"id": "key"}))
        == 1
    )
    with pytest.raises(BadValue, match=r"cannot be written: Read-only file system"):
        Store.prepare(tmp_path, "per_prompt")
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == before


def _denied(*_: object, **__: object) -> None:
    raise OSError(30, "Read-only file system")


def test_noises_are_kept_where_they_are_asked_for(tmp_path: Path) -> None:
    given = {"metrics": ["truth"], "seeds": 2, "progress": False}
    run = compare(CountingModel(), COSINE, PROMPTS[:2], store=tmp_path / "kept", keep_noise=True, **given)  # type: ignore[arg-type]
    for row in run.frame().itertuples():
        result = load_method(str(row.method))(CountingModel(), PROMPTS[:2], seeds=[0, 1])
        position = 2 * PROMPTS.index(str(row.prompt)) + int(row.seed)  # type: ignore[call-overload]
        assert torch.equal(run.noise(str(row.image)), result.noise[position])
    bare = compare(CountingModel(), COSINE, PROMPTS[:2], store=tmp_path / "bare", **given)  # type: ignore[arg-type]
    assert not list((tmp_path / "bare").rglob("*.safetensors"))
    with pytest.raises(BadValue, match="keeps no noise of image"):
        bare.noise(bare.frame()["image"][0])
    pngs = {file.name: file.read_bytes() for file in (tmp_path / "kept" / "images").iterdir()}
    assert pngs == {file.name: file.read_bytes() for file in (tmp_path / "bare" / "images").iterdir()}
    assert json.loads(next((tmp_path / "kept" / "noises").glob("*.jsonl")).read_text().splitlines()[0])[
        "shape"
    ]
