"""`noisekit vote` as it is typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from noisekit.cli import main
from noisekit.results import Run, load_run
from noisekit.store.store import Store
from noisekit.vote.pairs import pairs
from noisekit.vote.study import Rules, Study

Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Typed:
    monkeypatch.chdir(tmp_path)

    def type_in(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        return main(["vote", *map(str, words)]), *capsys.readouterr()

    return type_in


@pytest.fixture
def voted(run: Run) -> Run:
    with Store.prepare(run.folder, "per_prompt") as store:
        study = Study(store, pairs(run.frame()), ["overall"], Rules(0.2, 0.1), Random(0))
        for voter in ("ann", "ben", "cem"):
            while (ballot := study.next(voter)) is not None:
                study.vote(ballot.ballot, voter, {"overall": "left"}, 1.5)
    return load_run(run.folder)


def test_votes_are_shown_without_whom_one_likes(typed: Typed, voted: Run) -> None:
    code, out, err = typed("show", voted.folder)
    assert (code, err) == (0, "")
    for said in (
        "Who was preferred",
        "Bradley–Terry",
        "hps",
        "another voter",
        "ann",
        "overall",
        "reno",
        "1.5",
    ):
        assert said in out
    assert " ann " not in typed("show", voted.folder, "--without", "ann,ben")[1]
    code, _, err = typed("show", voted.folder, "--without", "eve")
    assert code == 2 and "'eve'" in err and len(err.splitlines()) == 1


def test_votes_go_out_and_come_in(typed: Typed, voted: Run, make_run) -> None:
    other = make_run(name="other").folder
    assert typed("export", voted.folder, "-o", "votes.csv")[:2] == (0, "votes.csv\n")
    count = len(voted.votes().frame())
    assert f"{count} new votes, 0 that" in typed("import", other, "votes.csv")[1]
    assert f"0 new votes, {count} that" in typed("import", other, "votes.csv")[1]
    assert len(load_run(other).votes()) == len(voted.votes())


def test_a_page_for_a_file_server_is_written(typed: Typed, run: Run) -> None:
    code, out, _ = typed(run.folder, "--static", "page", "--voters", "ann,ben", "--each", "3")
    assert code == 0 and out.startswith("page/index.html")
    assert Path("page/sheets.js").read_text().count('"id"') == 6
    code, _, err = typed(run.folder, "--static", "page")
    assert code == 2 and "there already" in err


def test_votes_are_planned_and_learnt_from(typed: Typed, voted: Run) -> None:
    plan = ("plan", "--precision", "0.1", "--prompts", "100", "--voters", "30")
    code, out, _ = typed(*plan)
    assert code == 0 and "votes for each two methods" in out
    assert "at whatever time" in typed(*plan, "--peeking")[1]
    assert typed(*plan, "--run", voted.folder)[0] == 0


WRONG = {
    "no run": ("nowhere",),
    "no votes yet": ("show", "run"),
    "nothing to learn from": ("plan", "--precision", "0.1", "--run", "run"),
    "out of reach": ("plan", "--precision", "0.01", "--voters", "3"),
    "a method": ("run", "--methods", "standard,npnet"),
    "one method": ("run", "--methods", "standard"),
    "a question": ("run", "--questions", "beauty"),
    "shares": ("run", "--repeats", "0.9"),
    "a host": ("run", "--host", "no.such.host.invalid"),
    "a port": ("run", "--port", "70000"),
    "an ending": ("export", "run", "-o", "votes.txt"),
    "a file": ("import", "run", "none.csv"),
    "an option": ("run", "--nonsense"),
}


@pytest.mark.parametrize("words", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_sentence(typed: Typed, run: Run, words: tuple[str, ...]) -> None:
    code, out, err = typed(*words)
    assert code == 2 and out == ""
    assert err.startswith("noisekit: ") and len(err.splitlines()) == 1
