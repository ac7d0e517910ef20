"""The Pareto front on sets whose front is known."""

from __future__ import annotations

from typing import Any

import pytest

from noisekit.report.paths import paths
from noisekit.report.plots.cost import front, on_front
from noisekit.report.tables import ranking
from tests.report.conftest import RENO_LONG, RENO_SHORT


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(1, 0.5), (10, 0.7), (5, 0.4), (20, 0.7), (30, 0.9)], [0, 1, 4]),  # dearer and no better is out
        ([(10, 0.7), (1, 0.5)], [1, 0]),  # from cheap to dear
        ([(1, 0.5), (1, 0.8), (2, 0.8)], [1]),  # as cheap and better; dearer and as good
        ([(3, 0.2), (3, 0.2)], [0, 1]),  # equals stand side by side
        ([], []),
    ],
)
def test_a_front_holds_what_nothing_dominates(points: list[tuple[float, float]], expected: list[int]) -> None:
    assert front(points) == expected


def test_who_optimised_a_metric_is_not_on_its_front(run: Any) -> None:
    turbo = run.rows["model"] == "tiny-turbo"
    for metric in ("truth", "clip_score"):
        run.rows.loc[turbo, metric] = run.rows.loc[turbo, "method"].map(
            {"standard": 0.2, RENO_SHORT: 0.6, RENO_LONG: 0.4}
        )
    lines = ranking(run).models["tiny-turbo"]
    assert [line.method for line in on_front(lines, "truth", lambda line: line.calls)] == [
        "standard",
        RENO_SHORT,
    ]
    assert [line.method for line in on_front(lines, "clip_score", lambda line: line.calls)] == ["standard"]


def test_searches_that_were_watched_have_a_path(run: Any) -> None:
    found = paths(run)
    assert {(model, search) for model, search, _ in found} == {("tiny-turbo", RENO_LONG)}
    calls, _, _, mean = zip(*found["tiny-turbo", RENO_LONG, "clip_score"], strict=True)
    whole = run.rows[run.rows["method"] == RENO_LONG]["clip_score"].mean()
    assert (calls, mean) == ((30.0, 61.0), pytest.approx((50.0, whole)))
