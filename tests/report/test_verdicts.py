"""The sentence a model: it names what survives Holm and nothing else, and says what it would take where nothing does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from noisekit.evaluation.power import MOST_PROMPTS
from noisekit.report.claims import claims
from noisekit.report.first.verdicts import Verdict, _rounded, verdicts
from noisekit.report.tables import ranking
from tests.report.conftest import RENO_LONG, RENO_SHORT, SELECTION


def said(run: Any) -> dict[str, Verdict]:
    ranked = ranking(run)
    return {one.model: one for one in verdicts(ranked, claims(run, ranked))}


def test_what_won_by_how_much_and_for_what(run: Any) -> None:
    run.rows.loc[run.rows["method"] == SELECTION, "aesthetic"] += 100.0
    one = said(run)["tiny"]
    assert (one.outcome, one.subject) == ("better", "selection")
    assert one.says.startswith("is better than standard in aesthetic: +1")
    assert (
        "over 5 prompts (p < .001 after Holm), for 144 calls and 1.44 s an image instead of 1 and 0.010 s"
        in one.says
    )
    assert "in truth it is not told from standard" in one.says


def test_a_gain_that_costs_elsewhere_says_so_and_others_are_counted(run: Any) -> None:
    run.rows.loc[run.rows["method"].isin([RENO_LONG, RENO_SHORT]), "aesthetic"] += 100.0
    run.rows.loc[run.rows["method"] == RENO_LONG, "aesthetic"] += 5.0
    run.rows["truth"] = 0.0
    number = run.rows["prompt_id"].map(lambda text: int(text, 16))
    run.rows.loc[run.rows["method"] == "standard", "truth"] = 1.0 - number / 100
    one = said(run)["tiny-turbo"]
    assert one.subject == "reno(steps=20)"
    assert "; worse in truth (−0.9" in one.says
    assert "; so is 1 other method, by less." in one.says


def test_a_metric_of_its_own_is_no_win(run: Any) -> None:
    run.rows.loc[run.rows["method"] == RENO_LONG, "clip_score"] += 1000.0
    one = said(run)["tiny-turbo"]
    assert one.outcome == "open"
    assert "clip_score" not in one.says


def test_where_all_that_is_told_is_worse(run: Any) -> None:
    run.rows.loc[run.rows["method"] == SELECTION, "aesthetic"] -= 100.0
    one = said(run)["tiny"]
    assert (one.outcome, one.subject) == ("worse", "selection")
    assert one.says.startswith("is worse than standard in aesthetic")
    assert one.says.endswith("no method is told from standard as better.")


def test_nothing_told_says_how_many_prompts_it_would_take(run: Any) -> None:
    """As many as `tests` says, rounded upwards; and with so many prompts like these, it is told."""
    ranked = ranking(run)
    one = said(run)["tiny"]
    assert (one.outcome, one.subject) == ("open", "Nothing")
    least = min(
        row.figures["needed"] for row in claims(run, ranked)["tiny"].rows if row.figures["needed"] > 0
    )
    assert f"would take about {_rounded(least):,} prompts" in one.says
    assert least < MOST_PROMPTS


@pytest.mark.parametrize(
    ("number", "rounded"),
    [(2.0, 2), (16.0, 16), (99.0, 99), (101.0, 110), (1234.0, 1300), (99_001.0, 100_000)],
)
def test_prompts_are_rounded_upwards_to_two_digits(number: float, rounded: int) -> None:
    assert _rounded(number) == rounded


def test_no_word_of_winning_without_evidence(run: Any) -> None:
    """Nothing scored, nothing beside standard, noises that prompts share with few seeds: each says what is wanting."""
    run.shared = True
    assert "too few seeds were drawn" in str(said(run)["tiny"])
    run.shared = False
    alone = run.rows["method"] == "standard"
    run.rows = run.rows[alone]
    assert "no other method was run beside it" in str(said(run)["tiny"])


def test_nothing_scored(run: Any) -> None:
    run.rows[["clip_score", "aesthetic", "truth"]] = np.nan
    assert "no metric has scored it" in str(said(run)["tiny"])


@pytest.mark.parametrize(("holm", "outcome"), [(0.051, "open"), (0.05, "told")])
def test_what_would_be_claimed_alone_but_not_in_company_is_not_said(
    run: Any, monkeypatch: pytest.MonkeyPatch, holm: float, outcome: str
) -> None:
    table = run.tests()
    table["p"] = 0.001
    table.loc[~table["optimised"], "p_holm"] = holm
    monkeypatch.setattr(run, "tests", lambda: table)
    for one in said(run).values():
        assert (one.outcome == "open") == (outcome == "open")
