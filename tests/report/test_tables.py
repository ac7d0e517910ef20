"""The numbers as text: verdicts, marks, order, and what the terminal shows."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from noisekit.metrics.truth import Truth
from noisekit.report import show
from noisekit.report.parts import breakdown, by_kind
from noisekit.report.source import labels
from noisekit.report.tables import Comparison, decimals, number, ranking, signed
from tests.report.conftest import RENO_LONG, RENO_SHORT, arm


def short_of(names: list[str]) -> dict[str, str]:
    return labels(map(arm, names))


def compared(**figures: float) -> Comparison:
    values = {
        "mean": 1.0,
        "difference": 0.5,
        "low": 0.1,
        "high": 0.9,
        "win": 0.5,
        "tie": 0.3,
        "loss": 0.2,
    } | figures
    return Comparison(metric="truth", optimised=False, decimals=2, **values)


def test_a_verdict_needs_an_interval_without_zero() -> None:
    assert compared().verdict == "better"
    assert compared(low=-0.9, high=-0.1).verdict == "worse"
    assert compared(low=-0.1).verdict == "open"
    assert compared(low=np.nan, high=np.nan).verdict == "open"
    assert compared(difference=np.nan, low=np.nan, high=np.nan).verdict == "none"


def test_figures_as_text() -> None:
    one = compared(mean=-1234.567, low=-0.1)
    assert (one.mean_text, one.difference_text, one.interval_text) == ("−1,234.57", "+0.50", "[−0.10, +0.90]")
    assert one.outcomes_text == "50 / 30 / 20"
    assert compared(win=np.nan).outcomes_text == "–"


def test_namesakes_are_told_apart_by_what_differs() -> None:
    short, long = "reno(steps=5, lr=0.7)", "reno(steps=50, lr=0.7)"
    assert short_of(["standard", short, long, "cosine(steps=2)", "BestOf(reno(), 3)"]) == {
        "standard": "standard",
        short: "reno(steps=5)",
        long: "reno(steps=50)",
        "cosine(steps=2)": "cosine",
        "BestOf(reno(), 3)": "BestOf(reno(), 3)",
    }
    assert short_of(["cosine(steps=2) @ 10 calls"]) == {"cosine(steps=2) @ 10 calls": "cosine @ 10 calls"}
    assert short_of(["reno(steps=5)", "reno(steps=5, ball='heavy')"]) == {
        "reno(steps=5)": "reno",
        "reno(steps=5, ball='heavy')": "reno(ball='heavy')",
    }


def test_decimals_follow_the_spread_and_the_narrowest_interval() -> None:
    frame = pd.DataFrame(
        {"wide": [10.0, 90.0], "fine": [0.4, 0.5], "paired": [10.0, 90.0], "constant": [1.0, 1.0]}
    )
    frame["empty"] = np.nan
    ends = {"wide": 20.0, "fine": 0.1, "paired": 0.03, "constant": 0.0, "empty": np.nan}
    summary = pd.DataFrame({f"{m}_low": [np.nan, -end] for m, end in ends.items()})
    summary = summary.assign(**{f"{m}_high": [np.nan, end] for m, end in ends.items()})
    expected = {"wide": 1, "fine": 4, "paired": 2, "constant": 3, "empty": 3}
    assert decimals(frame, summary, list(frame)) == expected


def test_a_rounded_zero_has_no_minus() -> None:
    assert (number(-0.001, 2), signed(-0.001, 2), signed(-0.1, 1)) == ("0.00", "+0.00", "−0.1")


def test_lines_start_with_standard_and_mark_what_was_optimised(run: Any) -> None:
    ranked = ranking(run)
    models = ranked.models
    assert list(models) == ["tiny", "tiny-turbo"]
    for lines in models.values():
        assert lines[0].is_standard
        assert lines[0].comparisons["truth"].verdict == "none"
        gains = [line.comparisons["truth"].difference for line in lines[1:]]
        assert gains == sorted(gains, reverse=True)
    reno = models["tiny-turbo"][1]
    assert [metric for metric, one in reno.comparisons.items() if one.optimised] == ["clip_score"]
    assert reno.comparisons["clip_score"].verdict == "better"
    assert ranked.metrics == ["truth", "aesthetic", "clip_score"]
    assert ranked.held_out("tiny-turbo") == ["truth", "aesthetic"]
    assert ranked.held_out("tiny") == ["truth", "aesthetic", "clip_score"]


def test_without_a_truth_lines_go_by_their_mean_rank_on_what_is_held_out(
    make_run: Callable[..., Any],
) -> None:
    run = make_run(dict.fromkeys("abcdef"))
    gains = {"standard": 0.0, RENO_SHORT: 0.5, RENO_LONG: -0.5}
    turbo = run.rows["model"] == "tiny-turbo"
    run.rows.loc[turbo, "aesthetic"] += run.rows.loc[turbo, "method"].map(gains)
    lines = ranking(run).models["tiny-turbo"]
    assert [line.method for line in lines] == ["standard", RENO_SHORT, RENO_LONG]
    run.rows.loc[turbo, "aesthetic"] -= 2 * run.rows.loc[turbo, "method"].map(gains)
    assert [line.method for line in ranking(run).models["tiny-turbo"]] == ["standard", RENO_LONG, RENO_SHORT]


def test_truth_in_parts(run: Any) -> None:
    parts = breakdown(run.frame(), ranking(run).lines, Truth.info)
    assert parts is not None
    assert list(parts.groups) == ["all", "kind of prompt", "combination of words", "skill"]
    assert list(parts.groups["skill"]) == ["colour", "relation"]
    width = sum(map(len, parts.groups.values()))
    for model, _, cells in parts.rows:
        assert len(cells) == width
        assert cells[0].images == len(run.rows[(run.rows.model == model) & (run.rows.method == "standard")])
        assert cells[0].images == cells[-4].images + cells[-3].images  # seen and unseen


def test_differences_by_kind_are_those_of_its_prompts(run: Any) -> None:
    frame = run.frame()
    reno = frame["method"] == RENO_LONG
    frame["truth"] = np.where(reno & (frame["kind"] == "single"), 1.0, 0.0)
    lines = ranking(run).models["tiny-turbo"]
    bars = by_kind(frame[frame["model"] == "tiny-turbo"], lines, "truth", shared=False)
    others = [line.method for line in lines if not line.is_standard]
    assert list(bars) == ["single", "count", "pair", "relation"]
    assert [bar.difference for bar in bars["single"]] == [float(method == RENO_LONG) for method in others]
    assert [bar.difference for bar in bars["pair"]] == [0.0, 0.0]
    assert by_kind(frame[frame["kind"] == "pair"], lines, "truth", shared=False) == {}


def test_without_a_truth_there_are_no_parts_and_another_metric_leads(make_run: Callable[..., Any]) -> None:
    run = make_run({"a photo of a cat": None, "a photo of a dog": None})
    assert breakdown(run.frame(), ranking(run).lines, None) is None
    assert ranking(run).metrics == ["aesthetic", "clip_score"]
    assert ranking(run).truth is None


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_terminal_shows_every_number_in_full(run: Any, width: int) -> None:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    show(run, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for line in ranking(run).lines:
        assert line.label.partition("(")[0] in text
        assert line.label.partition("(")[2] in text
        for one in line.comparisons.values():
            assert f"{one.difference_text} {one.interval_text}".strip() in text
            assert f"{one.mean_text} {'†' if one.optimised else ''}".strip() in text
    assert "reno(steps=10): reno(steps=10, lr=0.7, rewards='clip_score:1')" in text
    words = " ".join(text.split())
    for metric in run.metrics:
        assert f"{metric}: a definition, tiny weights" in words
    assert "aesthetic and clip_score share the backbone CLIP ViT-3x96/4" in words
