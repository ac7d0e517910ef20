"""The laws of every metric, and what is colourfulness's own: grey is none, and what its name says is more."""

import pytest
import torch

import noisekit as nk

pytest.register_assert_rewrite("noisekit.testing")

from noisekit.testing import MetricConformance  # noqa: E402


class TestLaws(MetricConformance):
    @pytest.fixture
    def metric(self):
        return nk.load_metric("colourfulness")


def test_grey_is_nothing_and_two_colours_are_more_than_one():
    grey, red, both = (torch.zeros(3, 8, 8) for _ in range(3))
    grey += 0.4
    red[0] = 1
    both[0, :4] = both[2, 4:] = 1
    table = nk.Evaluator(["colourfulness"])([grey, red, both], ["a flag"] * 3)
    assert list(table.columns) == ["colourfulness", "colourfulness_spread", "colourfulness_shift"]
    assert table["colourfulness"][0] == pytest.approx(0, abs=1e-3)
    assert table["colourfulness_spread"][1] == pytest.approx(0, abs=1e-3)
    assert table["colourfulness"][2] > table["colourfulness"][1] > 50
