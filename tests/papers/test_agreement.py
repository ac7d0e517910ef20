"""Verdicts beside printed numbers keep their level, whatever is true."""

from __future__ import annotations

import numpy as np
import pytest

from noisekit.evaluation.intervals import interval
from noisekit.papers.agreement import verdict


@pytest.mark.parametrize(
    ("printed", "low", "high", "expected"),
    [
        (0.2, 0.1, 0.3, "agrees"),
        (-0.2, -0.3, -0.1, "agrees"),
        (0.2, -0.1, 0.3, "cannot tell at this size"),
        (0.0, -0.1, 0.3, "cannot tell at this size"),
        (0.4, 0.1, 0.3, "differs"),
        (0.4, -0.1, 0.3, "differs"),
        (0.2, np.nan, np.nan, "cannot tell at this size"),
    ],
)
def test_the_verdict_follows_from_where_the_printed_difference_and_nothing_lie(
    printed: float, low: float, high: float, expected: str
) -> None:
    assert verdict(printed, low, high) == expected


def test_of_tables_on_which_nothing_differs_one_in_twenty_says_otherwise() -> None:
    """Twelve numbers a table, each printed as it truly is; 400 tables leave 2.2 points of chance on either side."""
    random = np.random.default_rng(0)
    cells, wrong = 12, 0
    for _ in range(400):
        d = random.normal(0.1, 1.0, (cells, 100, 1))
        ends = [interval(one, level=1 - 0.05 / cells) for one in d]
        wrong += any(verdict(0.1, *one) == "differs" for one in ends)
    assert wrong / 400 <= 0.05 + 0.022


def test_an_effect_of_the_printed_size_is_found_where_the_sample_is_large() -> None:
    random = np.random.default_rng(1)
    d = random.normal(0.5, 1.0, (400, 1))
    ends = interval(d, level=1 - 0.05 / 12)
    assert verdict(0.5, *ends) == "agrees"
    assert verdict(0.0, *ends) == "differs"
