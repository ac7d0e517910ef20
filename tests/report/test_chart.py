"""Quality against cost: the advice at every budget is that of `pick`, and the chart draws what it says."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

from noisekit.report.advice import advice, priced
from noisekit.report.chart import HEIGHT, LEFT, RIGHT, WIDTH, charts
from noisekit.report.figure import looks
from noisekit.report.paths import paths
from noisekit.report.tables import ranking
from noisekit.results.pick import pick
from noisekit.results.run import Run
from tests.report.conftest import RENO_LONG
from tests.results.curved import CALL, Known, write_run

#: A fast search that levels off, a slow one that ends higher, one that hurts, one that changes nothing.
METHODS = {
    "standard": Known({1: 0.0}, 1),
    "best_of(n=20)": Known({1: 0.0, 2: 0.1, 5: 0.2, 10: 0.2, 20: 0.2}, 1),
    "reno(steps=20)": Known({1: 0.0, 2: 0.05, 5: 0.25, 10: 0.4, 20: 0.4}, 3),
    "selection": Known({1: -0.3}, 8),
    "npnet": Known({1: 0.0}, 1),
}


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return write_run(tmp_path_factory.mktemp("known") / "run", METHODS, prompts=30)


@pytest.mark.parametrize("cost", ["calls", "seconds"])
def test_the_advice_is_pick_at_every_budget(known: Run, cost: str) -> None:
    lines = ranking(known).models["toy"]
    found = advice(known, lines, "truth", known.curves())
    assert found is not None
    steps, unit = found.steps(cost), 1.0 if cost == "calls" else CALL
    assert steps[0].label == "standard" and len(steps) > 3
    for budget in (1, 2, 4, 15, 30, 100):
        chosen = pick(known, **{cost: budget * unit}, metric="truth")
        at = [step for step in steps if step.budget <= budget * unit * (1 + 1e-9)][-1]
        assert at.label == re.sub(r"\(.*?\)", "", chosen.method), budget
        if chosen.gain is not None:
            assert f"{chosen.gain.difference:+.2f}"[:4] in at.text.replace("−", "-")


def test_who_climbed_a_metric_gets_no_advice_from_it(tmp_path: Path) -> None:
    methods = METHODS | {"reno(steps=20)": Known({20: 9.0}, 3, ["truth"])}
    run = write_run(tmp_path / "run", methods, prompts=12)
    own = charts(run, ranking(run), looks(["best_of", "reno", "selection", "npnet"]), paths(run))["toy"]
    assert [chart.cost for chart in own] == ["seconds", "calls"]
    for chart in own:
        assert "reno" not in {step.label.partition("(")[0] for step in chart.steps}
        (reno,) = [point for point in chart.points if "reno" in point.name]
        assert reno.name.endswith("†") and reno.pale


def test_a_chart_draws_points_where_they_are(run: Any) -> None:
    ranked = ranking(run)
    found = charts(run, ranked, looks([line.label for line in ranked.lines]), paths(run))
    assert {model: [chart.title for chart in own] for model, own in found.items()} == {
        "tiny": [f"{m} by {c}" for m in ("truth", "aesthetic", "clip_score") for c in ("seconds", "calls")],
        "tiny-turbo": [f"{m} by {c}" for m in ("truth", "aesthetic") for c in ("seconds", "calls")],
    }
    for model, own in found.items():
        for chart in own:
            for line, point in zip(ranked.models[model], chart.points, strict=True):
                share = (point.x - LEFT) / (WIDTH - LEFT - RIGHT)
                paid = line.seconds if chart.cost == "seconds" else line.calls
                assert chart.low * (chart.high / chart.low) ** share == pytest.approx(paid, rel=0.01)
                assert 0 < point.y < HEIGHT
                assert (point.low is None) == math.isnan(line.comparisons[chart.metric].low)
            best = max(ranked.models[model], key=lambda line: line.comparisons[chart.metric].mean)
            assert min(chart.points, key=lambda point: point.y).name.startswith(best.label)
            assert len(chart.columns) >= 2 and len(chart.rows) >= 2


def test_searches_that_were_watched_have_a_path(run: Any) -> None:
    found = paths(run)
    assert {(model, search) for model, search, _ in found} == {("tiny-turbo", RENO_LONG)}
    calls, _, _, mean = zip(*found["tiny-turbo", RENO_LONG, "clip_score"], strict=True)
    whole = run.rows[run.rows["method"] == RENO_LONG]["clip_score"].mean()
    assert (calls, mean) == ((30.0, 61.0), pytest.approx((50.0, whole)))


def test_costs_have_about_three_digits() -> None:
    assert [priced(value) for value in (1234.0, 12.34, 1.234, 0.01234, 2.0)] == [
        "1,234",
        "12.3",
        "1.23",
        "0.012",
        "2",
    ]
