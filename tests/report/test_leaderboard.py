"""Who stands where on what nobody optimised, and what the page says when a method optimises everything."""

from __future__ import annotations

import re
from typing import Any

import pytest
from scipy import stats

from noisekit.report.leaderboard import Leaderboard, leaderboards
from noisekit.report.page import render
from noisekit.report.tables import ranking
from tests.report.conftest import RENO_LONG, SELECTION


def leaderboard(run: Any, model: str) -> Leaderboard:
    return leaderboards(ranking(run))[model]


def text(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))


def test_methods_meet_only_where_neither_had_a_hand_in_the_metric(run: Any) -> None:
    turbo = leaderboard(run, "tiny-turbo")
    assert turbo.lead == "truth"
    assert turbo.held_out == ["aesthetic"]
    assert turbo.climbed == {"clip_score": ["reno(steps=20)", "reno(steps=10)"]} or turbo.climbed == {
        "clip_score": ["reno(steps=10)", "reno(steps=20)"]
    }
    for place in turbo.places:  # two opponents, on aesthetic alone
        assert place.won + place.open + place.lost == 2
    tiny = leaderboard(run, "tiny")
    assert tiny.held_out == ["aesthetic", "clip_score"]
    assert [place.won + place.open + place.lost for place in tiny.places] == [2, 2]


def test_a_real_gain_wins_its_duels_and_its_rank(run: Any) -> None:
    run.rows.loc[run.rows["method"] == SELECTION, ["aesthetic", "clip_score"]] += 100.0
    standard, selection = leaderboard(run, "tiny").places
    assert (selection.won, selection.open, selection.lost) == (2, 0, 0)
    assert (standard.won, standard.open, standard.lost) == (0, 0, 2)
    assert (selection.rank, selection.interval) == ("1.0", "[1.0, 1.0]")
    assert (standard.rank, standard.interval) == ("2.0", "[2.0, 2.0]")


def test_who_optimises_everything_takes_metrics_from_itself_alone(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = frozenset({"clip_score", "aesthetic"})
    monkeypatch.setattr(run, "optimised", lambda method: everything if method == RENO_LONG else frozenset())
    turbo = leaderboard(run, "tiny-turbo")
    assert turbo.held_out == []
    for place in turbo.places:
        assert place.rank == "–"
        fought = place.won + place.open + place.lost
        assert fought == (0 if place.line.method == RENO_LONG else 2)
    assert "Every metric but the ground truth was optimised by some method" in text(render(run))


def test_the_page_says_who_wins_and_whether_it_is_real(run: Any) -> None:
    run.rows.loc[run.rows["truth"].notna(), "truth"] = 0.0
    number = run.rows["prompt_id"].map(lambda text: int(text, 16))
    run.rows.loc[(run.rows["method"] == RENO_LONG) & (run.rows["seed"] <= number % 3), "truth"] = 1.0
    page = render(run)
    words = text(page)
    low, high = (
        f"{0.6 + 0.1247 * t:+.3f}" for t in stats.t.ppf([0.025, 0.975], 4)
    )  # prompts: 1/3, 2/3, 1, 1/3, 2/3
    assert f"+0.600 [{low}, {high}] better" in words
    assert (
        "In truth, of 2 methods, each looked at by itself, 1 better than standard beyond the interval, 0 worse"
        in words
    )
    places = [page.index(f'id="{name}"') for name in ("first", "cost", "leaderboard", "ranking")]
    assert places == sorted(places)
