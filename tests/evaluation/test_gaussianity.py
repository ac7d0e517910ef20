"""Noises that are drawn pass as often as they should; what is no draw of N(0, I) is found by the test that is for it."""

from __future__ import annotations

import numpy as np
import pytest

from noisekit.evaluation.gaussianity import COLUMNS, TESTS, gaussianity, p_values

SHAPE = (4, 16, 16)


def drawn(number: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(number, *SHAPE))


def smoothed(noise: np.ndarray) -> np.ndarray:
    """A quarter of each pixel's right neighbour mixed in, at unit variance: normal, and correlated."""
    mixed = noise + 0.25 * np.roll(noise, 1, axis=-1)
    return mixed / np.sqrt(1 + 0.25**2)


def heavy(noise: np.ndarray) -> np.ndarray:
    """Every eighth number twice as large and all at unit variance: of the right norm, and of another shape."""
    scale = np.where(np.arange(noise.size).reshape(SHAPE) % 8 == 0, 2.0, 1.0)
    return noise * scale / np.sqrt(np.mean(scale**2))


def test_of_drawn_noises_one_in_twenty_is_below_the_level_of_each_test() -> None:
    each = [p_values(noise) for noise in drawn(600)]
    for test in TESTS:
        p = np.array([values[test] for values in each])
        assert np.mean(p <= 0.05) == pytest.approx(0.05, abs=0.03), test
        assert p.mean() == pytest.approx(0.5, abs=0.05), test


@pytest.mark.parametrize(
    ("spoil", "found_by"),
    [
        (lambda x: 1.1 * x, {"norm"}),
        (lambda x: x + 0.15, {"distribution"}),
        (heavy, {"shape"}),
        (smoothed, {"neighbours"}),
    ],
)
def test_what_is_no_draw_is_told_by_the_test_that_is_for_it(spoil, found_by: set[str]) -> None:
    table = gaussianity(("m", "x", spoil(noise)) for noise in drawn(20)).set_index("test")
    told = set(table.index[table["p_holm"] <= 0.05])
    assert found_by <= told
    assert table.loc[sorted(found_by), "below"].min() > 0.6


def test_the_family_is_all_methods_and_tests_of_a_model() -> None:
    noises = [("m", "a", noise) for noise in drawn(10)] + [("m", "b", noise) for noise in drawn(10, seed=1)]
    table = gaussianity([*noises, *(("n", "a", noise) for noise in drawn(10, seed=2))])
    assert list(table.columns) == COLUMNS
    assert table.groupby("model")["family"].first().to_dict() == {"m": 8, "n": 4}
    assert (table["p_holm"] >= table["p"]).all()
    assert (table["p_holm"] > 0.05).all()
    assert table["noises"].unique().tolist() == [10]
    assert gaussianity([]).empty
