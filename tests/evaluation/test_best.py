"""Choosing the best of several arms: known bests are found, and luck is not taken for one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from noisekit.evaluation.best import Race, race
from noisekit.evaluation.ranks import Ranks


def drawn(effects, prompts=50, seeds=2, spread=1.0, seed=0, shared=False):
    """A race of arms with known effects on one metric, beside what prompts add to all of them."""
    draw = np.random.default_rng(seed)
    level = draw.normal(0, 1, (prompts, 1, 1))
    cells = level + np.asarray(effects) + draw.normal(0, spread, (prompts, seeds, len(effects)))
    arms = tuple(f"arm {i}" for i in range(len(effects)))
    return Race(arms, Ranks(arms, ("truth",), cells[..., None], shared))


def test_a_best_that_stands_out_is_found():
    assert drawn([0, 0.3, 0.9, -0.5]).best("arm 0") == "arm 2"
    assert drawn([0, 0.3, 0.9, -0.5]).best("arm 2") == "arm 2"


def test_intervals_hold_for_the_arm_that_comes_out_best():
    """Of 25 arms without effect the highest has an interval above 0 in about 5 % of experiments, not in most."""
    fooled, naive, experiments = 0, 0, 60
    for seed in range(experiments):
        one = drawn([0.0] * 25, seed=seed)
        fooled += one.best("arm 0") != "arm 0"
        d = one.figures.cells[:, :, 1:, 0].mean(1) - one.figures.cells[:, :, :1, 0].mean(1)
        naive += bool((d.mean(0) > 2 * d.std(0, ddof=1) / np.sqrt(len(d))).any())
    assert fooled <= 6  # P = 2 % at 5 %
    assert naive >= 15


def test_the_interval_of_the_winner_covers_its_effect():
    effects = np.linspace(0, 0.8, 15)
    inside = 0
    for seed in range(60):
        table = drawn(effects, seed=seed).against("arm 0")
        winner = table["difference"].argmax()
        inside += table["low"].iloc[winner] <= effects[winner] <= table["high"].iloc[winner]
    assert inside >= 54


def test_an_arm_with_the_same_images_differs_by_nothing():
    one = drawn([0, 1, 2])
    cells = one.figures.cells.copy()
    cells[:, :, 1] = cells[:, :, 0]
    table = Race(one.arms, Ranks(one.arms, ("truth",), cells)).against("arm 0")
    assert table.loc["arm 1"].tolist() == [0, 0, 0, 0]
    assert table.loc["arm 2", "low"] > 0


def test_several_metrics_count_by_mean_rank():
    frame = pd.DataFrame(
        [
            {"method": method, "prompt": prompt, "seed": 0, "a": a + prompt, "b": b - prompt}
            for method, a, b in [("x", 0.0, 5.0), ("y", 1.0, 5.0), ("z", 2.0, -9.0)]
            for prompt in range(4)
        ]
    )
    table = race(frame, ["a", "b"]).against("x")
    # ranks by a: 3, 2, 1; by b: 1.5, 1.5, 3
    assert table["difference"].tolist() == [0, 2.25 - 1.75, 2.25 - 2.0]


def test_shared_noise_of_few_seeds_tells_nothing():
    one = drawn([0, 5.0], shared=True)
    assert one.best("arm 0") == "arm 0"
    assert one.against("arm 0").loc["arm 1", "difference"] == pytest.approx(5, abs=0.5)


def test_one_arm_alone_is_the_best():
    frame = pd.DataFrame({"method": "x", "prompt": ["p", "q"], "seed": 0, "a": [0.0, 1.0]})
    assert race(frame, ["a"]).best("x") == "x"


def test_pairs_of_arms_take_wider_intervals_than_arms_against_a_fixed_one():
    one = drawn([0.0, 0.1, 0.2, 0.3])
    fixed, chosen = one.against("arm 0"), one.against("arm 0", chosen=True)
    assert (chosen["difference"] == fixed["difference"]).all()
    widths = [(table["high"] - table["low"]).drop("arm 0") for table in (fixed, chosen)]
    assert (widths[1] > widths[0]).all()
    two = drawn([0.0, 0.1])  # one pair is one comparison
    assert two.against("arm 0").equals(two.against("arm 0", chosen=True))


def test_a_gain_is_shrunk_by_as_much_of_it_as_is_luck():
    table = drawn([0.0, 0.0, 0.0, 5.0]).against("arm 0")
    assert table.loc["arm 3", "shrunk"] == pytest.approx(5, abs=0.3)
    nothing = drawn([0.0] * 12).against("arm 0").drop("arm 0")
    assert nothing["shrunk"].abs().max() < 0.7 * nothing["difference"].abs().max()
    assert (nothing["shrunk"] * nothing["difference"] >= 0).all()
