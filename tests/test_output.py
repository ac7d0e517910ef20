"""Pages, tables, figures and images that are asked for by name: nothing of a run, and no input, is written over."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from noisekit.cli import main
from noisekit.errors import BadValue
from noisekit.output import KEPT, MANIFEST, output_file
from noisekit.store import store
from noisekit.store.schema import LINES, Kind

COMMANDS = {
    "report": ["report", "RUN"],
    "markdown": ["report", "RUN", "--format", "markdown"],
    "latex": ["report", "RUN", "--format", "latex"],
    "gallery": ["gallery", "RUN"],
    "export": ["export", "RUN"],
    "votes": ["vote", "export", "RUN"],
    "compare-runs": ["compare-runs", "RUN", "RUN"],
    "schema": ["plan", "schema"],
    "score": ["score", "RUN/images", "--prompts", "RUN/p.txt", "--metrics", "hps", "--weights", "tiny"],
    "generate": ["generate", "a red circle", "--model", "tiny-turbo"],
}
#: One of the endings that each of them writes.
ENDINGS = dict(zip(COMMANDS, "html md tex svg parquet jsonl html json csv png".split(), strict=True))


@pytest.fixture
def run(root: Path, tmp_path: Path) -> Iterator[Path]:
    """A run; whatever is asked, what it keeps is the same afterwards."""
    folder = tmp_path / "run"
    shutil.copytree(root / "tests" / "data" / "store-1", folder)
    (folder / "p.txt").write_text("a\n" * len(list((folder / "images").iterdir())))
    before = contents(folder)
    yield folder
    assert contents(folder) == before


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_writes_among_what_a_run_keeps(
    command: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = [word.replace("RUN", str(run)) for word in COMMANDS[command]]
    (tmp_path / "link").symlink_to(run / "images", target_is_directory=True)
    picture = min((run / "images").glob("*.png")).name
    places = [run / MANIFEST, run / "images" / picture, tmp_path / "link" / picture]
    places += [run / "rows" / f"new.{ENDINGS[command]}"]
    for place in places:
        assert main([*typed, "-o", str(place)]) == 2, place
        said = capsys.readouterr()
        assert said.out == "" and said.err.count("\n") == 1, said
        assert any(words in said.err for words in ("keeps; give another", "does not end in")), said.err


def test_what_a_run_keeps_is_what_a_store_writes() -> None:
    assert frozenset((*get_args(Kind), "images")) == KEPT == frozenset((*LINES, "images"))
    assert MANIFEST == store.MANIFEST


def test_beside_what_it_keeps_and_in_other_folders_there_is_room(run: Path, tmp_path: Path) -> None:
    (run / "figures").mkdir()
    (tmp_path / "site" / "images").mkdir(parents=True)
    (tmp_path / "site" / MANIFEST).write_text("{}")  # of some other program
    for place in (run, run / "figures", tmp_path / "site" / "images"):
        assert output_file(place / "x.pdf", [".pdf"]) == place / "x.pdf"
        assert not (place / "x.pdf").exists()


def test_a_pipe_waits_for_what_is_written_and_not_for_a_trial(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    assert output_file(tmp_path / "pipe", [".html"]) == tmp_path / "pipe"


@pytest.mark.parametrize("name", ["x" * 300 + ".pdf", "no/such/x.pdf", "folder.pdf", "zero\0.pdf"])
def test_what_cannot_be_written_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder.pdf").mkdir()
    with pytest.raises(BadValue, match=r"x{200}|no/such|folder|zero"):
        output_file(tmp_path / name, [".pdf"])
