"""What the page and the tables for papers claim: only what survives Holm, and never by what a method optimised."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from noisekit.errors import BadValue
from noisekit.report import show
from noisekit.report.categories import categories
from noisekit.report.claims import claims, p_value, strengths
from noisekit.report.failures import failures
from noisekit.report.page import render
from noisekit.report.provenance import plan
from noisekit.report.source import limits
from noisekit.report.sweeps import sweeps
from noisekit.report.tables import Line, ranking
from noisekit.report.texts import Table, TextCell, latex, markdown, write_tables
from noisekit.types import Budget
from tests.report.conftest import HOSTILE, RENO_LONG, SELECTION, arm


def test_only_what_survives_holm_is_claimed(run: Any) -> None:
    run.rows.loc[run.rows["method"] == SELECTION, "aesthetic"] += 100.0
    found = claims(run, ranking(run))["tiny"]
    by_metric = {row.metric: row for row in found.rows}
    assert by_metric["aesthetic"].verdict == "better"
    assert by_metric["clip_score"].verdict == "open"
    assert (found.after_holm, found.family) == (1, 2)  # too few truths differ for a test
    turbo = claims(run, ranking(run))["tiny-turbo"]
    assert all(not row.stands for row in turbo.rows if row.optimised)
    assert turbo.family == sum(
        not row.optimised and row.figures["p"] == row.figures["p"] for row in turbo.rows
    )


def test_win_rates_stand_with_their_prompts(run: Any) -> None:
    run.rows.loc[run.rows["method"] == SELECTION, "aesthetic"] += 100.0
    row = next(row for row in claims(run, ranking(run))["tiny"].rows if row.metric == "aesthetic")
    assert row.rate_text == "100 [57, 100]"  # Wilson of 5 of 5
    assert row.outcomes_text == "5 / 0 / 0"
    assert row.p_text("p_sign") == ".062"


def test_the_terminal_says_how_many_claims_stand(run: Any) -> None:
    run.rows.loc[run.rows["method"] == SELECTION, "aesthetic"] += 100.0
    console = Console(width=100, file=io.StringIO(), color_system=None)
    show(run, console)
    words = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    assert "tiny: of 2 comparisons with standard, 1 would be claimed one at a time, and 1 when all" in words


def test_p_values_are_short() -> None:
    assert [p_value(p) for p in (0.0569, 0.5, 1.0, 1e-9, float("nan"))] == [
        ".057",
        ".500",
        "1",
        "< .001",
        "–",
    ]


def test_strengths_name_the_line_and_their_reach(run: Any) -> None:
    (rows,) = strengths(run, ranking(run)).values()
    standard = next(row for row in rows if row.line.is_standard)
    assert (standard.strength_text, standard.interval_text, standard.chance_text) == ("+0.00", "", "50 %")
    assert all(re.fullmatch(r"\d \[\d, \d\]", row.rank_text) for row in rows)


def test_categories_have_a_column_each_and_a_dash_where_a_method_has_none(run: Any) -> None:
    run.rows = run.rows[~((run.rows["method"] == RENO_LONG) & (run.rows["kind"] == "pair"))]
    found = categories(run, ranking(run))["tiny-turbo"]
    assert [group.name for group in found.groups] == ["all", "single", "count", "pair", "relation"]
    assert [group.prompts for group in found.groups] == [5, 2, 1, 1, 1]
    cells = {line.method: row for line, row in found.metrics["clip_score"]}
    assert [one is None for one in cells[RENO_LONG]] == [False, False, False, True, False]
    assert all(one is not None for one in cells["standard"])


def lines(run: Any, methods: list[str]) -> list[Line]:
    one = ranking(run).models["tiny-turbo"][1]
    return [
        Line(**{**vars(one), "method": method, "arm": arm(method), "label": method}) for method in methods
    ]


def test_sweeps_are_methods_that_differ_in_one_number_only(run: Any) -> None:
    grid = [f"reno(steps={steps}, lr={lr})" for lr in (0.1, 1.0) for steps in (50, 10, 20)]
    found = sweeps(
        lines(run, ["standard", *grid, "reno(steps=10, lr=5.0, rewards='hps:1')", "cosine(steps=1)"])
    )
    (one,) = found
    assert one.title == "reno: steps"
    assert [curve.label for curve in one.curves] == ["reno(lr=0.1)", "reno(lr=1.0)"]
    assert [[x for x, _ in curve.points] for curve in one.curves] == [[10, 20, 50]] * 2
    assert sweeps(lines(run, grid[:2])) == []
    budgets = sweeps(lines(run, [f"cosine(lr=1.0) @ {n} calls" for n in (10, 20, 40)]))
    assert [(one.title, [x for x, _ in one.curves[0].points]) for one in budgets] == [
        ("cosine: calls (budget)", [10, 20, 40])
    ]
    assert limits(Budget(seconds=2.5, calls=10)) == {"seconds": 2.5, "calls": 10}


def test_a_sweep_is_drawn_in_the_page(make_run: Any) -> None:
    methods = ["standard", *(f"reno(steps={steps}, lr=0.7, rewards='clip_score:1')" for steps in (5, 10, 20))]
    import tests.report.conftest as made

    for place, method in enumerate(methods):
        made.CALLS.setdefault(method, 1 + place)
        made.GAIN.setdefault(method, float(place))
    page = render(make_run(worlds={"tiny": methods}, side=4))
    section = page[page.index('id="sweeps"') :]
    assert "What the settings do" in section
    assert re.search(r"<text[^>]*>\s*steps\s*</text>", section)


def test_failures_are_told_by_their_reason(run: Any) -> None:
    about = {"model": "tiny", "method": SELECTION, "prompt": HOSTILE, "seed": 3}
    run.failed = [about | {"metric": None, "reason": "out of <memory>", "attempt": n} for n in (1, 2)]
    run.failed.append(about | {"metric": "hps", "reason": "no weights", "attempt": 1})
    first, second = failures(run.failures(), {SELECTION: "selection"})
    assert (first.label, first.metric, first.count, first.attempts, first.seed) == ("selection", "", 2, 2, 3)
    assert (second.metric, second.count) == ("hps", 1)
    run.resolved = {("tiny", SELECTION): {"model": {"weights": "abc<def"}, "version": 7}}
    page = render(run)
    assert "out of &lt;memory&gt;" in page
    assert "<b>bold" not in page
    assert "abc&lt;def" in page
    assert page.index('id="failures"') < page.index('id="setup"')


def test_a_plan_asks_for_the_same_again(run: Any) -> None:
    assert plan(run) == ""  # prompts of no suite
    run.rows["suite"] = "tiny"
    text = plan(run)
    assert "suite: tiny\n  limit: 5" in text
    assert "- standard" in text
    assert "seeds: 3" in text
    run.rows.loc[run.rows["method"] == SELECTION, "method"] += " @ 10 calls"
    assert plan(run) == ""  # reno is under no budget


def test_tables_are_whole_in_both_forms(run: Any) -> None:
    for form, row in (("markdown", "\n| {} |"), ("latex", "\n    {} &")):
        text = write_tables(run, form)
        assert text.count(row.format("standard")) == 2
        assert text.count(row.format("selection")) == 2  # means, and wins
        assert "reno(steps=20)" in text
    with pytest.raises(BadValue, match="did you mean 'latex'"):
        write_tables(run, "late")


def test_what_markdown_and_latex_would_read_is_escaped() -> None:
    table = Table("50 % of a_b", ["x|y", "<b>"], [[TextCell("a & b_c", strong=True), TextCell("−1 †")]])
    assert markdown(table).splitlines() == [
        r"50 % of a\_b",
        "",
        r"| x\|y | \<b\> |",
        "| --- | ---: |",
        r"| **a & b\_c** | −1 † |",
    ]
    text = latex(table)
    assert r"\caption{50 \% of a\_b}" in text
    assert r"x|y & \textless{}b\textgreater{} \\" in text
    assert r"\textbf{a \& b\_c} & $-$1 $^\dagger$ \\" in text
    assert r"\begin{tabular}{lr}" in text
