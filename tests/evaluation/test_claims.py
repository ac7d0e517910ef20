"""Wins, tests, Holm, power and Bradley–Terry: against statsmodels, scipy, and truths made for the purpose."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import proportion_confint

from noisekit.evaluation.bradley_terry import bradley_terry, strengths
from noisekit.evaluation.categories import by_category
from noisekit.evaluation.comparisons import comparisons
from noisekit.evaluation.intervals import Estimate, estimate
from noisekit.evaluation.power import detectable, needed
from noisekit.evaluation.significance import holm, wilcoxon_p
from noisekit.evaluation.wins import Wins, duels, wins

GAINS = {"standard": 0.0, "good": 1.0, "better": 2.0, "bad": -1.0}


def scores(prompts: int = 40, seeds: int = 2, gains: dict[str, float] = GAINS, seed: int = 0) -> pd.DataFrame:
    """Methods that lie their gain above the score of the (prompt, seed), and two metrics."""
    rng = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product(
        [range(prompts), range(seeds), gains], names=["prompt", "seed", "method"]
    )
    gain = index.get_level_values("method").map(gains).to_numpy(float)
    common = np.repeat(rng.normal(0, 5, prompts * seeds), len(gains))
    table = {name: common + gain + rng.normal(size=len(index)) for name in ("x", "y")}
    return pd.DataFrame(table, index).reset_index().assign(model="m", calls=1.0, seconds=1.0)


def test_sixty_wins_of_a_hundred_are_no_proof() -> None:
    found = Wins(60, 7, 40)
    assert found.interval == pytest.approx((0.502, 0.691), abs=5e-4)
    assert found.p == pytest.approx(0.057, abs=5e-4)


@pytest.mark.parametrize("won", [0, 1, 13, 40, 41])
def test_win_rates_are_statsmodels_wilson(won: int) -> None:
    found = Wins(won, 5, 41 - won)
    assert found.interval == pytest.approx(proportion_confint(won, 41, method="wilson"))
    assert found.p == pytest.approx(min(1, 2 * stats.binom.sf(max(won, 41 - won) - 1, 41, 0.5)))


def test_a_prompt_wins_once_whatever_its_seeds_and_only_beyond_the_tie() -> None:
    d = np.array([[0.3, 0.1], [0.5, -0.3], [-0.4, np.nan], [0.11, 0.09], [-0.2, 0.0]])
    assert wins(d, tie=0.1) == Wins(wins=1, ties=3, losses=1)
    assert wins(d) == Wins(wins=3, ties=0, losses=2)
    nothing = wins(np.zeros((9, 2)))
    assert (nothing.ties, nothing.decided) == (9, 0)
    assert np.isnan([nothing.rate, *nothing.interval, nothing.p]).all()


@pytest.mark.parametrize("prompts", [1, 2, 5, 13, 14, 50, 51, 200])
@pytest.mark.parametrize("steps", [None, 2, 8])
def test_wilcoxon_is_scipys_at_any_size_with_ties_and_without(prompts: int, steps: int | None) -> None:
    """steps: in a unit of the differences, which are then often the same; None: they never are."""
    d = np.random.default_rng(prompts).normal(0.3, 1, (prompts, 1))
    d = d if steps is None else np.round(d * steps) / steps
    moved = d[d != 0]
    expected = stats.wilcoxon(moved).pvalue if len(moved) else np.nan
    assert wilcoxon_p(d) == pytest.approx(expected, rel=1e-12, nan_ok=True)


def test_wilcoxon_is_scipys_on_prompts() -> None:
    d = np.random.default_rng(1).normal(0.3, 1, (30, 3))
    assert wilcoxon_p(d) == pytest.approx(stats.wilcoxon(d.mean(1)).pvalue, rel=1e-12)
    assert wilcoxon_p(np.concatenate([d, np.zeros((9, 3))])) == wilcoxon_p(d)
    assert np.isnan(wilcoxon_p(np.zeros((9, 1))))


def test_holm_is_statsmodels_and_what_is_unknown_is_no_member() -> None:
    rng = np.random.default_rng(2)
    for size in (1, 2, 17):
        p = rng.random(size) ** 3
        assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])
    p = np.array([0.01, np.nan, 0.04, 0.03])
    assert holm(p) == pytest.approx([0.03, np.nan, 0.06, 0.06], nan_ok=True)


@pytest.mark.parametrize("prompts", [8, 30, 400])
def test_the_detectable_difference_is_statsmodels(prompts: int) -> None:
    found = detectable(Estimate(0.0, 2 / np.sqrt(prompts), prompts - 1, 0.0))
    assert found == pytest.approx(2 * TTestPower().solve_power(nobs=prompts, alpha=0.05, power=0.8), rel=1e-5)
    assert np.isnan(detectable(Estimate(0.0)))


@pytest.mark.parametrize("effect", [0.2, 0.5, 1.5])
@pytest.mark.parametrize("family", [1, 40])
def test_the_prompts_that_are_needed_are_statsmodels(effect: float, family: int) -> None:
    level = 1 - 0.05 / family
    found = needed(Estimate(effect, 1 / np.sqrt(12), 11, 0.0), 12, level=level)
    expected = TTestPower().solve_power(effect_size=effect, alpha=1 - level, power=0.8)
    assert found == pytest.approx(np.ceil(expected), abs=1)


def test_no_number_of_prompts_tells_nothing_from_nothing() -> None:
    assert needed(Estimate(0.0, 0.1, 9, 0.0), 10) == np.inf
    assert np.isnan(needed(Estimate(0.3), 10))
    assert needed(Estimate(1e4, 0.1, 9, 0.0), 10) == 2


def test_four_of_five_experiments_find_the_detectable_difference() -> None:
    rng, spread = np.random.default_rng(3), 1 / np.sqrt(20)
    effect = detectable(Estimate(0.0, spread, 19, 0.0))
    found = sum(estimate(rng.normal(effect, 1, (20, 1))).p < 0.05 for _ in range(2_000))
    assert found / 2_000 == pytest.approx(0.8, abs=0.03)


def test_strengths_are_those_of_a_logistic_regression() -> None:
    """The same likelihood, maximised by statsmodels: one row a pair, +1 and −1 for who plays."""
    wins = np.random.default_rng(4).integers(1, 30, (4, 4)).astype(float)
    np.fill_diagonal(wins, 0)
    pairs = list(itertools.combinations(range(4), 2))
    design = np.array([np.eye(4)[a] - np.eye(4)[b] for a, b in pairs])[:, 1:]
    outcomes = np.array([[wins[a, b], wins[b, a]] for a, b in pairs])
    theirs = GLM(outcomes, design, family=Binomial()).fit().params
    ours = strengths(wins)
    assert ours[1:] - ours[0] == pytest.approx(theirs, abs=1e-6)


def test_bradley_terry_finds_a_known_order_and_how_sure_it_is() -> None:
    table = bradley_terry(scores(80), ["x", "y"])
    assert table["method"].tolist() == ["better", "good", "standard", "bad"]
    assert table["rank"].tolist() == table["rank_low"].tolist() == table["rank_high"].tolist() == [1, 2, 3, 4]
    by_method = table.set_index("method")
    assert tuple(by_method.loc["standard", ["strength", "low", "high"]]) == (0, 0, 0)
    assert by_method.loc["good", "low"] > 0 > by_method.loc["bad", "high"]
    even = bradley_terry(scores(10, gains=dict.fromkeys(GAINS, 0.0)), ["x"])
    assert (even["rank_high"] - even["rank_low"]).min() >= 1


def test_bradley_terry_of_ties_alone_is_level_and_of_a_sweep_finite() -> None:
    level = bradley_terry(scores(10), ["x"], {"x": 1e9})
    assert level["strength"].abs().max() < 1e-9
    assert level["rank"].tolist() == [1, 1, 1, 1]
    sweep = bradley_terry(scores(10, gains={"standard": 0.0, "one": 1e3, "two": 1e6}), ["x"])
    assert np.isfinite(sweep[["strength", "low", "high"]]).all(axis=None)
    assert sweep["method"].tolist() == ["two", "one", "standard"]


def test_a_tie_counts_half_to_either_side() -> None:
    """One method beats the two others, which are the same, on ten prompts and ties on ten; and one tie more a pair."""
    frame = scores(20, seeds=1, gains=dict.fromkeys(("standard", "same", "one"), 0.0))
    frame["x"] = np.where((frame["method"] == "one") & (frame["prompt"] < 10), 1.0, 0.0)
    wins = np.array([[0, 10.5, 5.5], [10.5, 0, 5.5], [15.5, 15.5, 0]])
    expected = strengths(wins)
    found = bradley_terry(frame, ["x"]).set_index("method")["strength"]
    assert found["one"] == pytest.approx(expected[2] - expected[0])
    assert found["same"] == pytest.approx(0)


def test_bradley_terry_needs_three_methods_and_four_shared_seeds() -> None:
    frame = scores(10)
    assert bradley_terry(frame[frame["method"].isin(["standard", "good"])], ["x"]).empty
    assert bradley_terry(frame, []).empty
    few = bradley_terry(frame, ["x"], shared=True)
    assert few["strength"].notna().all()
    assert few[["low", "high", "rank_low", "rank_high"]].isna().all(axis=None)
    assert bradley_terry(scores(10, seeds=4), ["x"], shared=True)["rank_high"].notna().all()


def test_every_comparison_stands_in_one_table() -> None:
    frame = scores(30).assign(suite=lambda table: np.where(table["prompt"] < 15, "first", "second"))
    table = comparisons(
        frame, ["x", "y"], {"x": 0.5}, optimised=lambda m: frozenset({"y"} if m == "good" else ())
    )
    assert len(table) == 2 * 3 * 2  # suites × methods × metrics
    assert table["prompts"].unique().tolist() == [15]
    assert (table[["wins", "ties", "losses"]].sum(axis=1) == 15).all()
    claims = table[~table["optimised"]]
    assert set(table[table["optimised"]]["method"]) == {"good"}
    assert table[table["optimised"]]["p_holm"].isna().all()
    for test in ("p", "p_sign", "p_wilcoxon"):
        assert claims[f"{test}_holm"].to_numpy() == pytest.approx(
            multipletests(claims[test], method="holm")[1]
        )
    assert table["family"].unique().tolist() == [10]
    own = frame[(frame["suite"] == "second") & (frame["method"] == "bad")]
    standard = frame[(frame["suite"] == "second") & (frame["method"] == "standard")]
    d = (own.set_index(["prompt", "seed"])["x"] - standard.set_index(["prompt", "seed"])["x"]).unstack()
    row = table[(table["suite"] == "second") & (table["method"] == "bad") & (table["metric"] == "x")].iloc[0]
    assert row["p_sign"] == wins(d.to_numpy(), 0.5).p
    assert (row["low"], row["high"]) == estimate(d.to_numpy()).interval()


def test_models_are_families_of_their_own() -> None:
    frame = pd.concat([scores(20), scores(20, seed=1).assign(model="other")])
    table = comparisons(frame, ["x"])
    assert table.groupby("model")["family"].first().tolist() == [3, 3]
    for _, own in table.groupby("model"):
        assert own["p_holm"].to_numpy() == pytest.approx(multipletests(own["p"], method="holm")[1])


def test_under_shared_noise_prompts_are_no_independent_witnesses() -> None:
    table = comparisons(scores(20, seeds=4), ["x"], shared=True)
    assert table[["p", "low", "high", "wins"]].notna().all(axis=None)
    assert table[["p_sign", "p_wilcoxon", "rate_low", "rate_high"]].isna().all(axis=None)
    assert duels(scores(20, seeds=4), "x", shared=True)[["low", "high", "p", "p_holm"]].isna().all(axis=None)


def test_duels_are_of_every_two_methods_once() -> None:
    table = duels(scores(30), "x").set_index(["method", "other"])
    assert len(table) == 6
    assert table.loc[("good", "bad"), "rate"] > 0.8 > 0.5 > table.loc[("standard", "better"), "rate"]
    assert table.loc[("good", "better"), ["wins", "ties", "losses"]].sum() == 30
    assert table["family"].unique().tolist() == [6]
    assert table["p_holm"].to_numpy() == pytest.approx(multipletests(table["p"], method="holm")[1])


def test_categories_are_compared_apart_and_a_prompt_counts_in_each_of_its_own() -> None:
    frame = scores(12)
    named = {0: ["a", "b"], 1: ["a"]}
    frame["categories"] = frame["prompt"].map(lambda prompt: ["all", *named.get(prompt % 3, [])])
    frame["suite"] = "mine"
    frame.loc[frame["method"].eq("good") & (frame["prompt"] % 3 == 0), "x"] += 10
    table = by_category(frame, ["x"])
    assert list(dict.fromkeys(table["category"])) == ["", "a", "b"]
    cells = table.set_index(["category", "method"])
    assert cells.loc[("a", "good"), "n_prompts"] == 8
    assert cells.loc[("b", "good"), "n_prompts"] == 4
    assert cells.loc[("b", "good"), "x_low"] > 5
    assert {"calls", "seconds"}.isdisjoint(table.columns)
    told = frame.assign(
        categories=[{"kind": f"kind {names[-1]}", "of": "all"} for names in frame["categories"]]
    )
    assert set(by_category(told, ["x"])["category"]) == {"", "kind a", "kind b", "kind all"}
    by_kind = by_category(frame.drop(columns=["categories", "suite"]).assign(kind="k"), ["x"])
    assert by_kind["category"].unique().tolist() == [""]
