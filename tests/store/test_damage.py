"""Whatever stands in a store's files: a reader takes a line as all others do, or names it; and a report is still written."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import pytest
from msgspec.structs import fields
from PIL import Image

from noisekit.engine.missing import Contents
from noisekit.errors import BadValue
from noisekit.evaluation.rings import sizes
from noisekit.report import page, write_report
from noisekit.report.first.gallery import gallery
from noisekit.report.tables import ranking
from noisekit.results import load_run
from noisekit.store import lines as files
from noisekit.store.schema import LINES, Kind
from noisekit.store.store import Store
from tests.store.lines import image, score

ROW = "7fc10d99ecf2718e997565e03ddb1444"
RINGS, VECTORS = sizes(4, 8, 8)

#: A whole line of each kind.
WHOLE: dict[Kind, dict[str, Any]] = {
    "rows": image("another", image="images/none.png", categories={"a": "b"}, optimised=["hps"], unseen=True),
    "scores": score("another", "truth", truth=1.0),
    "noises": {
        "id": "another",
        "shape": [4, 8, 8],
        **dict.fromkeys(("found", "initial", "cross"), RINGS * [1.0]),
        "similarity": VECTORS * [0.5],
    },
    "metrics": {
        **dict.fromkeys(("metric_id", "name", "version", "weights", "family"), "x"),
        "low": 0.0,
        "high": None,
        "direction": "higher",
        "tie": 0.0,
        "pairwise": False,
    },
    "diversity": {"setting": "s", "prompt_id": "p", "seeds": [0, 1], "embedding_id": "e", "distances": [0.1]},
    "traces": {"id": "another", "points": [{"step": 0, "calls": 1.0, "seconds": 0.1, "score": None}]},
    "failures": {
        "id": "another",
        "metric": None,
        "setting": "s",
        "reason": "none",
        "attempt": 1,
        "model": "m",
        "method": "n",
        "prompt": "p",
        "seed": 0,
    },
    "settings": {"setting": "s", "model": "m", "method": "n", "fields": {"model": {}, "method": "standard"}},
    "calibrations": {
        "model": "m",
        "mode": "latency",
        "batch": 1,
        "hardware": {},
        "seconds": {"encode": 1.0, "denoiser": 1.0},
    },
    "ballots": {"ballot": "b", "voter": "v", "left": "x.png", "right": "noise", "questions": ["overall"]},
    "votes": {
        "ballot": "b",
        "voter": "v",
        "question": "overall",
        "answer": "tie",
        "left": "x.png",
        "right": "y.png",
    },
}


def line(kind: Kind, /, **changed: Any) -> bytes:
    return json.dumps(WHOLE[kind] | {"created": 9e9} | changed).encode()


def damages(kind: Kind) -> Iterator[tuple[str, bytes]]:
    """Lines that no reader may take, by what is wrong with them."""
    whole = line(kind)
    yield "a byte order mark", b"\xef\xbb\xbf" + whole
    for name, value in {"NaN": b"NaN", "infinity": b"-Infinity", "beyond a float": b"1e999"}.items():
        yield name, whole.replace(b"9000000000.0", value)
    yield "NaN where nobody looks", whole[:-1] + b', "further": NaN}'
    yield "half a surrogate pair", whole[:-1] + rb', "further": "\ud800"}'
    yield "a zero byte", whole[:-1] + b', "further": "\0"}'
    yield "no UTF-8", whole.replace(b'"created"', b'"cr\xffated"')
    yield "nested", whole[:-1] + b', "further": ' + 100_000 * b"[" + 100_000 * b"]" + b"}"
    yield "nested alone", 100_000 * b"["
    yield "two on a line", whole + whole
    yield "half of it", whole[: len(whole) // 2]
    yield "foreign", b'{"created": 9e9}'
    yield "an unknown name twice", whole[:-1] + 2 * b', "unknown": 1' + b"}"
    for name, value in list(WHOLE[kind].items())[::4]:
        yield f"{name} twice", whole[:-1] + f', "{name}": {json.dumps(value)}}}'.encode()
    for name, value in WHOLE[kind].items():
        if isinstance(value, dict):
            inside = line(kind, **{name: value | {"a": 1}})
            yield f"a name twice in {name}", inside.replace(b'"a":', b'"b": null, "b":', 1)
    yield "zeros", 1000 * b"\0"
    for other in (b"[1]", b"null", b'"text"', b"7"):
        yield f"{other!r}", other
    for field in fields(LINES[kind]):
        if field.required and not (kind == "failures" and field.name == "metric"):
            nothing = {"low", "high"} if kind == "metrics" else set()
            if field.name not in nothing:
                yield f"{field.name} null", line(kind, **{field.name: None})
        if field.required:
            yield f"no {field.name}", line(kind).replace(f'"{field.name}":'.encode(), b'"x":', 1)
        yield f"{field.name} of another type", line(kind, **{field.name: [[{}]]})
    if kind == "rows":
        for seed in (-1, 2**63, 2**70, 0.5):
            yield f"seed {seed}", line(kind, seed=seed)


@pytest.fixture(scope="module")
def pristine(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a whole line of each kind more than what was run."""
    store = tmp_path_factory.mktemp("damage") / "store"
    shutil.copytree(root / "tests" / "data" / "store-1", store)
    for kind in get_args(Kind):
        (store / kind).mkdir(exist_ok=True)
    return store


def reads(store: Path, kind: Kind) -> dict[str, Callable[[], object]]:
    """Everything that reads lines of a kind, by its name."""
    readers: dict[str, Callable[[], object]] = {"lines": lambda: Store.read(store).lines(kind)}
    if kind in ("rows", "scores", "failures"):
        readers["resume"] = lambda: Contents(Store.read(store))
    if kind in ("rows", "scores", "metrics"):
        readers["tables"] = lambda: load_run(store)
    if kind == "rows":
        readers["columns"] = lambda: Store.read(store).columns("rows", {"id": "key"})
    if kind == "scores":
        readers["scores"] = lambda: Store.read(store).scores(["another"])
    return readers


def refusal(read: Callable[[], object]) -> str:
    """The sentence with which a reader refuses; nothing where it does not."""
    try:
        read()
    except BadValue as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_damaged_line_is_named_by_every_reader(kind: Kind, pristine: Path) -> None:
    file = pristine / kind / "zz.jsonl"
    try:
        file.write_bytes(line(kind) + b"\n\n \r\n" + line(kind, further={"x": 2**70}) + b"\n")
        for read in reads(pristine, kind).values():
            read()  # such a line is whole
        for what, damaged in damages(kind):
            file.write_bytes(line(kind) + b"\n" + damaged + b"\n" + line(kind) + b"\n")
            for name, read in reads(pristine, kind).items():
                said = refusal(read)
                named = re.match(r"line 2 of '.*zz\.jsonl' is damaged: \S.*; take the line out", said)
                assert named and len(said) < 1000, f"{name} at {what}: {said[:1000]}"
    finally:
        file.unlink()


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_last_line_that_was_cut_off_is_passed_over_by_every_reader(kind: Kind, pristine: Path) -> None:
    file, whole = pristine / kind / "zz.jsonl", line(kind)
    try:
        for cut in (whole[:1], whole[:-1], whole[: len(whole) // 2], 1_000_000 * b"\0", 5000 * b"["):
            file.write_bytes(whole + b"\n" + cut)
            for read in reads(pristine, kind).values():
                read()
        file.write_bytes(whole + b'\n{"created": 1.0}')  # whole, though without its line break
        with pytest.raises(BadValue, match=r"line 2 .* is damaged"):
            Store.read(pristine).lines(kind)
    finally:
        file.unlink()


def test_a_line_without_end_is_named_before_it_fills_the_memory(
    pristine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LONGEST_LINE", 2000)
    file = pristine / "rows" / "zz.jsonl"
    for end in (b"", b"\n"):
        file.write_bytes(line("rows") + b"\n" + line("rows", kind="x" * 2000) + end)
        with pytest.raises(BadValue, match=r"line 2 of .* is damaged: it is longer than"):
            load_run(pristine)
    file.unlink()


def test_what_is_no_file_of_lines_is_named(pristine: Path) -> None:
    place = pristine / "rows" / "d.jsonl"
    for make in (Path.mkdir, os.mkfifo):
        make(place)
        with pytest.raises(BadValue, match=r"d\.jsonl' stands where a file of lines should be"):
            load_run(pristine)
        place.rmdir() if place.is_dir() else place.unlink()


@pytest.mark.parametrize(
    "content",
    [
        100_000 * b"[",
        b'{"schema": 1, "noise": NaN}',
        b"[]",
        b"null",
        b"\0",
        b"{}",
        2_000_000 * b" ",
        b'{"schema"',
        b'{"schema": 1, "noise": "shared", "noise": "per_prompt"}',
    ],
)
def test_a_manifest_that_is_none_is_named(content: bytes, pristine: Path) -> None:
    before = (pristine / "manifest.json").read_bytes()
    (pristine / "manifest.json").write_bytes(content)
    with pytest.raises(BadValue, match="does not read as the manifest"):
        load_run(pristine)
    (pristine / "manifest.json").write_bytes(before)


@pytest.mark.parametrize("values", [{"prompt": 1.0}, {"model": 1.0, "truth": 1.0}, {"other": 1.0}])
def test_scores_that_no_table_can_hold_are_named(values: dict[str, float], pristine: Path) -> None:
    lines = {
        "scores": line("scores", id=ROW, metric="colour", metric_id="c", values=values),
        "metrics": line("metrics", metric_id="c", name="colour"),
    }
    for kind, content in lines.items():
        (pristine / kind / "zz.jsonl").write_bytes(content + b"\n")
    try:
        with pytest.raises(BadValue, match="without a column of their own"):
            load_run(pristine)
        (pristine / "metrics" / "zz.jsonl").write_bytes(b"")
        with pytest.raises(BadValue, match="does not say what they are"):
            load_run(pristine)
    finally:
        for kind in lines:
            (pristine / kind / "zz.jsonl").unlink()


# --- pictures --------------------------------------------------------------------------------------------------------


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(*chunks: bytes, side: int = 8) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\0" * 200))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + body + chunk(b"IEND", b"")


def pictures() -> Iterator[tuple[str, bytes]]:
    """Files that are no picture of a run."""
    yield "empty", b""
    yield "text", b"hello"
    yield "a bomb of pixels", png(side=100_000)
    yield "fewer pixels than a bomb", png(side=12_000)
    yield "a bomb of text", png(chunk(b"zTXt", b"k\0\0" + zlib.compress(b"A" * 50_000_000)))
    yield "a chunk without end", png(b"\xff\xff\xff\xffiTXt")
    yield "damaged in the middle", png()[:45]
    content = io.BytesIO()
    Image.new("RGB", (8, 8)).save(content, "TIFF")
    yield "half of another kind", content.getvalue()[:40]


def paths(store: Path) -> Iterator[str]:
    """Names that lead to no picture inside the store."""
    (store.parent / "secret.png").write_bytes(png())
    (store / "images" / "link.png").symlink_to(store.parent / "secret.png")
    (store / "images" / "circle.png").symlink_to(store / "images" / "circle.png")
    (store / "images" / "folder.png").mkdir()
    os.mkfifo(store / "images" / "fifo.png")
    outside = (
        "../secret.png",
        "images/../../secret.png",
        str(store.parent / "secret.png"),
        "images/link.png",
    )
    yield from (
        *outside,
        "images/circle.png",
        "images/folder.png",
        "images/fifo.png",
        "a\0b.png",
        "",
        ".",
        "x" * 5000,
    )


@pytest.fixture
def store(pristine: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged for good."""
    return Path(shutil.copytree(pristine, tmp_path / "store"))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning", "ignore:Corrupt EXIF data")
def test_in_the_place_of_a_bad_picture_stands_that_there_is_none(store: Path) -> None:
    run = load_run(store)
    frame, ranked = run.frame(), ranking(run)

    def missing(shown: pd.DataFrame = frame) -> int:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run, "frame", lambda: shown)
            found = gallery(run, ranked)
        return sum(not cell.picture.source for scene in found.scenes for cell in scene.cells)

    assert missing() == 0
    first = frame["image"][0]
    whole = (store / first).read_bytes()
    for what, content in pictures():
        (store / first).write_bytes(content)
        assert missing() == 1, what
        with pytest.raises(BadValue):
            run.image(first)
    (store / first).write_bytes(whole)
    for name in paths(store):
        assert missing(frame.assign(image=frame["image"].replace(first, name))) == 1, name
        with pytest.raises(BadValue):
            run.image(name)
        assert name == "images/link.png" or not Store.read(store).has(
            name
        )  # a link is there; it is not opened


def test_a_report_with_a_bad_picture_is_written(store: Path) -> None:
    run = load_run(store)
    (store / run.frame()["image"][0]).write_bytes(
        png(chunk(b"zTXt", b"k\0\0" + zlib.compress(b"A" * 50_000_000)))
    )
    assert "no image" in write_report(run, store / "report.html").read_text()


def test_a_report_is_written_whole_or_not_at_all(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (store / "report.html").write_text("the report before")

    def full(self: Path, content: bytes) -> None:
        with self.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(BadValue, match="No space left on device"):
        page._write("page" * 1000, store / "report.html")
    assert (store / "report.html").read_text() == "the report before"
    assert not list(store.glob(".report*"))
