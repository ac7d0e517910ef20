"""Votes leave and come back: as tables, and from a page that no server of ours serves."""

from __future__ import annotations

import csv
import json
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any

import pytest
from PIL import Image

from noisekit.errors import BadValue, Unwritable
from noisekit.results import Run, load_run
from noisekit.store.store import Store
from noisekit.vote import questions
from noisekit.vote.exchange import ENDINGS, read_votes, write_votes
from noisekit.vote.pairs import pairs
from noisekit.vote.static import write_static
from noisekit.vote.study import Rules, Study
from tests.vote.conftest import HOSTILE, METHODS
from tests.vote.test_browser import pressed, shown

ASKED = questions.chosen(["alignment", "overall"])


@pytest.fixture
def voted(run: Run) -> Run:
    chance = Random(0)
    with Store.prepare(run.folder, "per_prompt") as store:
        study = Study(store, pairs(run.frame()), list(ASKED), Rules(0.2, 0.2), chance)
        for voter in ("ann", "ben-2"):
            for _turn in range(15):
                ballot = study.next(voter)
                assert ballot is not None
                answers = {name: chance.choice(["left", "right", "tie", "both_bad"]) for name in ASKED}
                study.vote(ballot.ballot, voter, answers, 1.25)
    return load_run(run.folder)


def bare(run: Run, folder: Path) -> Path:
    """A copy of a run that nobody has voted on."""
    shutil.copytree(run.folder, folder, ignore=shutil.ignore_patterns("votes", "ballots"))
    return folder


def added(folder: Path, file: Path) -> tuple[int, int]:
    run = load_run(folder)
    with Store.prepare(folder, "per_prompt") as store:
        return read_votes(store, set(run.frame()["image"]), file)


@pytest.mark.parametrize("ending", ENDINGS)
def test_votes_that_leave_come_back_the_same_and_once(voted: Run, tmp_path: Path, ending: str) -> None:
    file = write_votes(voted.votes(), tmp_path / f"votes{ending}")
    copy = bare(voted, tmp_path / "copy")
    assert added(copy, file) == (60, 0)
    assert added(copy, file) == (0, 60)
    drop = ["created"]
    names = ["ballot", "question"]
    here, there = (
        r.votes().frame().drop(columns=drop).sort_values(names, ignore_index=True)
        for r in (voted, load_run(copy))
    )
    assert here.equals(there)
    text = file.read_text()
    assert HOSTILE not in text and "left_method" in text


def rows(*given: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in given)


def test_a_platform_needs_to_say_four_things(voted: Run, tmp_path: Path) -> None:
    ballot = Store.read(voted.folder).lines("ballots")[0]["ballot"]
    file = tmp_path / "crowd.csv"
    file.write_text(
        f"worker,ballot,voter,question,answer\nx,{ballot},W1,overall,left\nx,{ballot},W1,alignment,tie\n"
    )
    assert added(voted.folder, file) == (2, 0)
    own = load_run(voted.folder).votes().frame().query("voter == 'W1'")
    assert own["answer"].tolist() == ["left", "tie"] and own["left"].notna().all()


WHOLE = {"ballot": 32 * "a", "voter": "ann", "question": "overall", "answer": "left"}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a ballot of nowhere": ({}, "neither a ballot nor an image"),
    "an image of nowhere": ({"left": "images/x.png", "right": "noise"}, "images/x.png"),
    "a path": ({"left": "../../secret", "right": "noise"}, "neither"),
    "noise against itself": ({"left": "noise", "right": "noise"}, "same image"),
    "a name": ({"voter": "Ann Smith"}, "voter"),
    "an answer": ({"answer": "up"}, "answer"),
    "a time": ({"seconds": -1}, "seconds"),
    "an id": ({"ballot": "../x"}, "ballot"),
    "a purpose": ({"purpose": "joke"}, "purpose"),
    "no answer": ({"answer": None}, "answer"),
}


@pytest.mark.parametrize(("changed", "said"), WRONG.values(), ids=WRONG)
def test_rows_that_are_no_votes_are_named_and_nothing_is_kept(
    voted: Run, tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    images = voted.frame()["image"]
    right = WHOLE | {"ballot": 32 * "b", "left": images[0], "right": images[1]}
    file = tmp_path / "votes.jsonl"
    file.write_text(rows(right, WHOLE | changed))
    before = len(Store.read(voted.folder).lines("votes"))
    with pytest.raises(BadValue, match=r"row 2.*" + said):
        added(voted.folder, file)
    assert len(Store.read(voted.folder).lines("votes")) == before
    file.write_text(rows(right))
    assert added(voted.folder, file) == (1, 0)


@pytest.mark.parametrize(
    "text", [b"\xff\xfe", b"{", b"[1]\n", b"[" * 100_000, b'"x"\n', b'{"a": 1, "a": 1}\n']
)
def test_files_that_hold_no_rows_are_refused(voted: Run, tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "votes.jsonl"
    file.write_bytes(text)
    with pytest.raises(BadValue, match=r"votes\.jsonl"):
        added(voted.folder, file)
    with pytest.raises(BadValue, match="do not end"):
        added(voted.folder, tmp_path / "votes.txt")
    with pytest.raises(BadValue, match="cannot be read"):
        added(voted.folder, tmp_path / "none.csv")


def test_a_question_that_a_ballot_did_not_ask_is_refused(voted: Run, tmp_path: Path) -> None:
    ballot = Store.read(voted.folder).lines("ballots")[0]["ballot"]
    file = tmp_path / "votes.jsonl"
    file.write_text(rows(WHOLE | {"ballot": ballot, "question": "detail"}))
    with pytest.raises(BadValue, match="asks alignment, overall"):
        added(voted.folder, file)


# --- a page that needs no server of ours ------------------------------------------------------------------------------


@pytest.fixture
def static(run: Run, tmp_path: Path) -> Callable[..., Path]:
    def made(voters: Sequence[str] = ("ann", "ben"), each: int = 8) -> Path:
        with Store.prepare(run.folder, "per_prompt") as store:
            study = Study(store, pairs(run.frame()), list(ASKED), Rules(0.1, 0.1), Random(3))
            return write_static(study, ASKED, run.folder, tmp_path / "page", voters, each)

    return made


def test_a_static_page_tells_of_no_method(static: Callable[..., Path], run: Run) -> None:
    folder = static(each=40).parent
    stems = {Path(name).stem for name in run.frame()["image"]}
    for file in folder.rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        for secret in (*METHODS, "standard", "cosine", "reno", "swapped", "attention", *stems):
            assert secret.encode() not in content, file
        if file.suffix == ".png":
            assert not Image.open(file).info
    with (folder / "ballots.csv").open(newline="") as opened:
        table = list(csv.DictReader(opened))
    assert {row["voter"] for row in table} == {"ann", "ben"}
    assert all((folder / row[side]).is_file() for row in table for side in ("left", "right"))
    assert len({row["ballot"] for row in table}) == len(table) > 40


def test_a_static_page_is_not_written_over_another(static: Callable[..., Path]) -> None:
    static()
    with pytest.raises(Unwritable, match="there already"):
        static()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_votes_of_a_static_page_come_back_as_a_file(
    browser: Any, static: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    folder = static().parent
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/index.html?voter=ann"
        browser.get(address)
        last = ""
        for turn in range(4):
            last = shown(browser, last)
            pressed(browser, "ArrowLeft", ("ArrowUp", "ArrowRight")[turn % 2])
        last = shown(browser, last)
        browser.get(address)  # the page is left and opened again
        assert shown(browser) == last
        while last := shown(browser, "" if turn == 3 else last):
            turn += 1
            pressed(browser, "ArrowDown", "ArrowDown")
            while browser.execute_script(
                "return document.body.dataset.ballot"
            ) == last and not browser.execute_script("return !document.getElementById('end').hidden"):
                time.sleep(0.02)
        assert "Save your votes" in browser.execute_script("return document.body.innerText")
        script = "fetch(document.getElementById('file').href).then(r => r.text()).then(arguments[0])"
        text = browser.execute_async_script(script)
        assert browser.execute_script("return document.getElementById('file').download") == "votes-ann.jsonl"
        server.shutdown()
    file = tmp_path / "votes-ann.jsonl"
    file.write_text(text)
    assert added(run.folder, file) == (16, 0)
    lines = Store.read(run.folder).lines("votes")
    assert [line["answer"] for line in lines[:4]] == ["left", "tie", "left", "right"]
    assert {line["voter"] for line in lines} == {"ann"}
