"""Axes of the panels: values go where they belong, and a tick's text is the value at its place."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from noisekit.report.plots.panels import Axis, text

values = st.floats(-1e4, 1e4).map(lambda value: round(value, 4))


@given(st.lists(values, min_size=1, max_size=6))
def test_ticks_stand_at_their_values(known: list[float]) -> None:
    axis = Axis.around(known, 300, 20)
    assert axis.low <= min(known) <= max(known) <= axis.high
    assert (axis.at(axis.low), axis.at(axis.high)) == (300, 20)
    assume(axis.high - axis.low > 1e-3)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 8
    for place, label in ticks:
        value = float(label.replace("−", "-").replace(",", ""))
        assert axis.at(value) == pytest.approx(place, abs=1.5)


@given(st.floats(1e-3, 1e3), st.floats(2, 1e4))
def test_logarithmic_ticks_are_round(low: float, ratio: float) -> None:
    axis = Axis(low, low * ratio, 0, 200, log=True)
    for place, label in axis.ticks():
        assert label.strip("0.,")[:1] in "125"
        assert axis.at(float(label.replace(",", ""))) == place
    assert axis.at(low * ratio**0.5) == pytest.approx(100, abs=0.1)


@pytest.mark.parametrize(
    "known", [[], [math.nan], [math.inf, 1.0], [1e308, -1e308], [5e-324, 0.0], [3.0, 3.0 + 1e-15]]
)
def test_any_numbers_have_an_axis(known: list[float]) -> None:
    axis = Axis.around(known, 0, 100, within=(-5.0, 2.0))
    assert axis.low < axis.high and all(0 <= place <= 100 for place, _ in axis.ticks())


def test_what_is_written_is_escaped() -> None:
    assert "&lt;script&gt;" in text(0, 0, "<script>")
