"""What `generate` chooses where no method is named: a row of the table that ships, for a budget, and the words for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from noisekit.cli import main
from noisekit.errors import BadValue
from noisekit.methods import load_method
from noisekit.models import load_model
from noisekit.results import frontier
from noisekit.results.frontier import Row, automatic, frontiers, seconds_per_equivalent
from noisekit.types import Budget

FOUR = Row(4.0, "standard", 3.0, "truth", 0.6, 0.0, 0.0, 0.0, 0.0, None, 90, 5, 200, 2)
SIXTEEN = Row(16.0, "best_of(n=60)", 13.6, "truth", 0.75, 0.15, 0.08, 0.22, 0.14, 0.001, 90, 20, 200, 2)


@pytest.fixture(scope="module")
def turbo() -> Any:
    return load_model("tiny-turbo", device="cpu")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontier, "frontiers", lambda: {"tiny-turbo": (FOUR, SIXTEEN)})


@pytest.mark.parametrize(
    ("equivalents", "method", "said"),
    [
        (1, "standard", "1 equivalents are below the 4 of the least budget that was measured"),
        (4, "standard", "nothing is told from standard as better in truth (5 settings within 4 equivalents"),
        (15.9, "standard", "within 15.9 equivalents: nothing is told"),
        (16, "best_of(n=60)", "truth +0.150 [+0.080, +0.220] over standard for 13.6 equivalents"),
        (1e6, "best_of(n=60)", "200 prompts × 2 seeds, Holm's p 0.001 of 90"),
    ],
)
def test_the_last_row_that_fits_is_taken(
    turbo: Any, measured: None, equivalents: float, method: str, said: str
) -> None:
    found = automatic(turbo, Budget(equivalents=equivalents))
    assert found.method == method
    assert said in found.reason


def test_seconds_become_equivalents_of_this_machine(
    turbo: Any, measured: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 0 < seconds_per_equivalent(turbo) < 10
    monkeypatch.setattr(frontier, "seconds_per_equivalent", lambda model: 0.5)
    assert automatic(turbo, Budget(seconds=8)).method == "best_of(n=60)"
    assert automatic(turbo, Budget(seconds=7.9)).method == "standard"
    assert automatic(turbo, Budget(seconds=8, equivalents=5)).method == "standard"


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        (["--equivalents", "16"], "auto: best_of(n=60)"),
        (["--equivalents", "4"], "auto: standard"),
        (["--method", "auto", "--equivalents", "5"], "auto: standard"),
        (["--method", "best_of(n=2)", "--equivalents", "16"], None),
        ([], None),
    ],
)
def test_generate_chooses_where_a_budget_and_no_method_is_given(
    given: list[str],
    chosen: str | None,
    measured: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["generate", "a red circle", "--model", "tiny-turbo", "-o", "x.png", *given]) == 0
    said = capsys.readouterr().out.splitlines()
    if chosen is None:
        assert len(said) == 1
    else:
        assert said[0].startswith(f"{chosen}; ")
        method = chosen.removeprefix("auto: ").partition("(")[0]
        assert said[1].startswith(f"x.png: {method}")


def test_generate_says_what_auto_needs(
    measured: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    typed = ["generate", "a red circle", "--model", "tiny-turbo", "--method", "auto", "-o", "x.png"]
    assert main(typed) == 2
    assert "method 'auto' needs a budget" in capsys.readouterr().err


def test_what_was_not_measured_is_said(turbo: Any, measured: None) -> None:
    other = load_model("tiny-turbo(steps=2)", device="cpu")
    found = automatic(other, Budget(equivalents=99))
    assert found.method == "standard"
    assert "nothing was measured of 'tiny-turbo(steps=2)' (known: tiny-turbo)" in found.reason
    with pytest.raises(BadValue, match="'auto' needs a budget"):
        automatic(turbo, Budget(calls=5))


def test_the_table_that_ships_reads_and_its_methods_fit_their_budgets() -> None:
    for name, rows in frontiers().items():
        model = load_model(name, device="cpu")
        assert [one.budget for one in rows] == sorted({one.budget for one in rows})
        for one in rows:
            assert str(load_method(one.method).resolved(model)) == one.method
            assert one.equivalents <= one.budget
            assert one.low <= one.difference <= one.high
            assert (one.method == "standard") == (one.p is None)
