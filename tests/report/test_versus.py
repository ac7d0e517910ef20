"""Two runs side by side: a change that is there is found, equal runs are equal, and what differs is named."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from noisekit.errors import BadValue
from noisekit.evaluation.intervals import interval
from noisekit.evaluation.matches import matches, unmatched
from noisekit.report.page import write_versus
from noisekit.report.versus import show_versus, versus
from tests.report.conftest import HOSTILE, SELECTION

WORLD = {"tiny": ["standard", SELECTION]}


@pytest.fixture
def pair(make_run: Callable[..., Any]) -> tuple[Any, Any]:
    """The same run twice, of ten prompts and one model."""
    prompts = dict.fromkeys([HOSTILE, *(f"prompt {i}" for i in range(9))], "single")
    first, second = (make_run(prompts, WORLD, side=4) for _ in range(2))
    return first, second


def test_equal_runs_are_equal(pair: tuple[Any, Any]) -> None:
    found = versus(*pair)
    assert {row.verdict for row in found.rows} == {"equal"}
    assert (found.changes, found.missing, found.real) == ([], [], 0)
    assert "6 are equal image by image" in found.finding


def test_what_the_tie_calls_none_is_no_change(pair: tuple[Any, Any]) -> None:
    first, second = pair
    first.ties["clip_score"] = 0.1
    # The same sign throughout: p alone would call it real.
    second.rows["clip_score"] += np.random.default_rng(0).uniform(0.04, 0.09, len(second.rows))
    found = versus(first, second)
    assert {row.verdict for row in found.rows} == {"equal"}
    second.rows["clip_score"] += 0.07
    verdicts = {row.metric: row.verdict for row in versus(first, second).rows}
    assert verdicts["clip_score"] == "higher"
    assert verdicts["aesthetic"] == "equal"


def test_a_change_of_one_method_is_found_and_paired(pair: tuple[Any, Any]) -> None:
    first, second = pair
    moved = second.rows["method"] == SELECTION
    rng = np.random.default_rng(0)
    second.rows.loc[moved, "clip_score"] += 2 + rng.normal(size=moved.sum())
    second.rows.loc[moved, "aesthetic"] += rng.normal(size=moved.sum())
    found = {(row.label, row.metric): row for row in versus(first, second).rows}
    up = found["selection", "clip_score"]
    assert up.verdict == "higher"
    keys = ["prompt", "seed"]
    d = (
        second.rows[moved].set_index(keys)["clip_score"] - first.rows[moved].set_index(keys)["clip_score"]
    ).unstack()
    assert (up.low, up.high) == pytest.approx(interval(d.to_numpy()))
    assert up.difference == pytest.approx(d.to_numpy().mean())
    assert found["selection", "aesthetic"].verdict == "open"
    assert found["standard", "clip_score"].verdict == "equal"


def test_images_without_a_partner_are_counted_and_left_out(pair: tuple[Any, Any]) -> None:
    first, second = pair
    gone = (second.rows["method"] == SELECTION) & (second.rows["seed"] == 2)
    second.rows = second.rows[~gone]
    (lack,) = versus(first, second).missing
    assert (lack.both, lack.first, lack.second) == (20, 10, 0)
    table = matches(first.rows, second.rows, ["clip_score"], {"clip_score": 0.0}).set_index("method")
    assert table["images"].to_dict() == {"standard": 30, SELECTION: 20}
    assert table.loc[SELECTION, "first"] == pytest.approx(
        first.rows[(first.rows["method"] == SELECTION) & (first.rows["seed"] < 2)]["clip_score"].mean()
    )
    assert unmatched(first.rows, second.rows).set_index("method").loc[SELECTION, "first"] == 10
    assert not unmatched(first.rows[:0], second.rows[:0])["both"].any()


def test_what_differs_in_how_they_were_made_is_named(
    pair: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = pair
    first.resolved = {("tiny", SELECTION): {"model": {"steps": 8}, "version": 1}}
    second.resolved = {("tiny", SELECTION): {"model": {"steps": 20}, "version": 1}}
    second.ids = {"truth": "ffffffff"}
    second.about = {"versions": {"noisekit": "0.1.0", "torch": "<b>3</b>"}}
    changed = {one.what: (one.first, one.second) for one in versus(first, second).changes}
    assert changed["versions torch"] == ("2.15.0", "<b>3</b>")
    assert changed["tiny, selection: model steps"] == ("8", "20")
    assert "ffffffff" in changed["metric truth"][1]
    assert "versions noisekit" not in changed
    assert not any("created" in what for what in changed)


def test_a_model_under_other_settings_is_the_same_model_and_its_settings_differ(
    pair: tuple[Any, Any],
) -> None:
    first, second = pair
    second.rows["model"] = "tiny(steps=20)"
    first.resolved = {("tiny", "standard"): {"model": {"steps": 8}}}
    second.resolved = {("tiny(steps=20)", "standard"): {"model": {"steps": 20}}}
    found = versus(first, second)
    assert [(one.what, one.first, one.second) for one in found.changes] == [
        ("tiny, standard: model steps", "8", "20")
    ]
    assert {(row.model, row.verdict) for row in found.rows} == {("tiny", "equal")}


def test_it_is_printed_and_written_with_everything_escaped(pair: tuple[Any, Any]) -> None:
    first, second = pair
    second.about = {"versions": {"torch": "<b>3</b>"}}
    second.rows["clip_score"] += 1.0
    found = versus(first, second)
    console = Console(width=100, file=io.StringIO(), color_system=None)
    show_versus(found, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "<b>3</b>" in text
    assert found.finding in " ".join(text.split())
    page = write_versus(found, first.folder / "versus.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;3&lt;/b&gt;" in page
    assert "<b>3" not in page
    assert page.count("<tr><th") == 1 + len(found.changes) + 1 + len(found.rows)
    with pytest.raises(BadValue, match="cannot be written"):
        write_versus(found, first.folder / "nowhere" / "x.html")


def test_runs_with_nothing_in_common_say_so(pair: tuple[Any, Any]) -> None:
    first, second = pair
    second.rows[["model", "model_name"]] = "other"
    with pytest.raises(BadValue, match="no image of the same model"):
        versus(first, second)
    second.rows[["model", "model_name"]] = "tiny"
    second.metrics = ()
    with pytest.raises(BadValue, match="no metric in common"):
        versus(first, second)
