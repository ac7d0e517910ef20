"""Made-up voters of known preference: rates, strengths and agreement hit what is known, and intervals hold it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.votes import DESIGNS, SHARED, Design, always_held, held
from noisekit.errors import BadValue
from noisekit.vote.agreement import alpha, alpha_interval
from noisekit.vote.clusters import shares, spread
from noisekit.vote.davidson import davidson
from noisekit.vote.planning import assumed, half_width, planned
from noisekit.vote.rates import Rate, boundary, wilson

# --- rates ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("design", DESIGNS[:3], ids=str)
def test_intervals_hold_the_known_rate_where_voters_and_prompts_differ(design: Design) -> None:
    """200 experiments; the whole table is in benchmarks/votes.py."""
    share = held(design, 200)
    assert 0.90 <= share <= 0.995, share


def test_intervals_hold_the_known_rate_where_prompts_share_their_noises() -> None:
    """And do not where seeds are taken for as many as there are (prompt, seed)."""
    design = Design(50, 10, 30, 0.5, 0.3, 0.5, 10, 0.6)
    assert 0.90 <= held(design, 200) <= 0.995
    assert held(design, 200, told=False) < 0.85


@pytest.mark.slow
@pytest.mark.parametrize("design", SHARED, ids=str)
def test_two_thousand_experiments_of_shared_noises(design: Design) -> None:
    share = held(design, 2000)
    assert 0.92 <= share <= (0.98 if design.of_seed else 1)


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_too_few_shared_seeds_say_nothing_of_others(seeds: int) -> None:
    worth, prompt, voter, seed = Design(30, 6, 20, 0.3, 0.3, 0.5, seeds, 0.3).draw(np.random.default_rng(0))
    found = Rate.of(worth, prompt, voter, seed)
    assert np.isnan(found.interval()).all() and found.always() == (0, 1)
    assert not np.isnan(Rate.of(worth, prompt, voter).interval()).any()
    votes = duels({"standard": 0.0, "a": 0.5}, 0.5, 200).assign(seed=lambda table: table["prompt"] % seeds)
    assert np.isnan(davidson(votes, ["standard", "a"], shared=True)["low"]).sum() == 1
    assert not davidson(votes, ["standard", "a"])["low"].isna().any()
    counts = np.random.default_rng(0).multinomial(3, [0.3, 0.3, 0.4], 60).astype(float)
    units = np.arange(60)
    assert np.isnan(alpha_interval(counts, units // 2, seeds=units % seeds)).all()


def test_seeds_that_differ_widen_what_is_told_of_them() -> None:
    """Rates, strengths and α, of votes that one seed in five decides alone."""
    votes = duels({"standard": 0.0, "a": 0.5, "b": 0.2}, 0.5, 900)
    votes["seed"] = np.random.default_rng(1).integers(0, 5, len(votes))
    votes.loc[votes["seed"] == 0, "score"] = 1.0
    widths = []
    for shared in (False, True):
        table = davidson(votes, ["standard", "a", "b"], shared=shared).set_index("method")
        found = Rate.of(
            votes["score"].to_numpy(), votes["prompt"], votes["voter"], votes["seed"] if shared else None
        )
        counts = np.where(
            np.arange(100)[:, None] % 5 == 0,
            [3, 0, 0],
            np.random.default_rng(0).multinomial(3, [0.4, 0.2, 0.4], 100),
        ).astype(float)
        low, high = alpha_interval(counts, np.arange(100) // 5, seeds=np.arange(100) % 5 if shared else None)
        widths.append((np.ptp(found.interval()), (table["high"] - table["low"])["a"], high - low))
    assert (np.array(widths[1]) > 1.15 * np.array(widths[0])).all(), widths


def test_the_interval_for_whoever_peeks_holds_at_every_vote_and_the_other_does_not() -> None:
    always, once = always_held(Design(40, 12, 10, 0.5, 0.3), 60)
    assert always >= 0.93
    assert once < 0.9


@pytest.mark.slow
@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_two_thousand_experiments(design: Design) -> None:
    share = held(design, 2000)
    assert 0.93 <= share <= (0.97 if design.of_prompt and design.of_voter else 1)


def test_votes_of_one_prompt_or_voter_are_not_so_many_votes() -> None:
    """Ten prompts and voters that each vote as one: a hundred votes say what ten would."""
    rng = np.random.default_rng(0)
    of_prompt = (rng.random(10) < 0.6).astype(float)
    prompts, voters = (grid.ravel() for grid in np.meshgrid(np.arange(10), np.arange(10), indexing="ij"))
    alike = Rate.of(of_prompt[prompts], prompts, voters)
    assert alike.effective == pytest.approx(9)  # 10 prompts, less one for their mean
    free = [Rate.of((rng.random(100) < 0.6).astype(float), prompts, voters).effective for _ in range(20)]
    assert 60 < np.median(free) <= 110
    turned = Rate.of(of_prompt[voters], prompts, voters)
    assert turned.effective == pytest.approx(9)


@pytest.mark.parametrize("voters", [1, 2])
def test_too_few_voters_are_not_taken_for_all_people(voters: int) -> None:
    rng = np.random.default_rng(1)
    prompts = np.tile(np.arange(30), voters)
    of_voter = np.repeat(np.arange(voters), 30)
    found = Rate.of((rng.random(30 * voters) < 0.7).astype(float), prompts, of_voter)
    assert not found.spread.of_voters
    low, high = found.interval()
    assert low < found.rate < high
    assert found.always() == (0, 1)


@pytest.mark.parametrize("outcome", [0.0, 0.5, 1.0])
def test_unanimous_votes_are_worth_a_vote_a_prompt(outcome: float) -> None:
    prompts, voters = np.repeat(np.arange(12), 5), np.tile(np.arange(5), 12)
    found = Rate.of(np.full(60, outcome), prompts, voters)
    low, high = found.interval()
    assert found.effective == 12
    assert 0 <= low <= outcome <= high <= 1
    assert 0.15 < high - low < 0.6


def test_nothing_is_said_of_nothing() -> None:
    none = Rate.of(np.empty(0), np.empty(0), np.empty(0))
    assert (
        none.votes == 0 and np.isnan(none.rate) and np.isnan(none.interval()[0]) and none.always() == (0, 1)
    )
    single = Rate.of(np.array([1.0]), np.array(["a"]), np.array(["v"]))
    assert np.isnan(single.interval()[0]) and single.always() == (0, 1)


def test_wilsons_interval_is_that_of_scipy_where_votes_are_independent() -> None:
    z = stats.norm.ppf(0.975)
    expected = stats.binomtest(60, 100).proportion_ci(0.95, method="wilson")
    assert wilson(0.6, 100, z) == pytest.approx((expected.low, expected.high))


def test_the_boundary_is_where_the_sequential_t_test_ends() -> None:
    """At z the likelihood ratio of the mixture is 1/α; few voters say nothing."""
    for freedom in (6.0, 9.5, 40.0, 300.0):
        n, t = freedom + 1, boundary(freedom)
        ratio = (1 + t**2 / freedom) / (1 + t**2 / freedom / (n + 1))
        assert np.sqrt(1 / (n + 1)) * ratio ** (n / 2) == pytest.approx(20)
        assert t > stats.t.ppf(0.975, freedom)
    assert boundary(2) == boundary(float("nan")) == np.inf


def test_shares_of_the_variance_are_found() -> None:
    rng = np.random.default_rng(2)
    prompts, voters = (g.ravel() for g in np.meshgrid(np.arange(200), np.arange(200), indexing="ij"))
    keep = rng.random(40_000) < 0.4
    y = rng.normal(0, 0.5, 200)[prompts] + rng.normal(0, 0.3, 200)[voters] + rng.normal(size=40_000)
    found = shares(y[keep], prompts[keep], np.unique(voters[keep], return_inverse=True)[1])
    assert found.prompt == pytest.approx(0.25, rel=0.25)
    assert found.voter == pytest.approx(0.09, rel=0.25)
    assert found.rest == pytest.approx(1, rel=0.05)


def test_the_variance_of_a_full_grid_is_that_of_the_analysis_of_variance() -> None:
    """On P × V votes without gaps, s² is that of two ways drawn: (A + B − C)/PV of the mean squares."""
    rng = np.random.default_rng(3)
    y = rng.normal(size=(20, 15)) + rng.normal(size=(20, 1)) + rng.normal(size=(1, 15))
    d = y - y.mean()
    prompts, voters = (grid.ravel() for grid in np.indices(y.shape))
    a, b = 15 * (d.mean(1) ** 2).sum() / 19, 20 * (d.mean(0) ** 2).sum() / 14
    found = spread(d.ravel() / y.size, prompts, voters)
    c = (d**2).sum() / (y.size - 1)  # what each vote brings, as if alone
    assert found.variance == pytest.approx((a + b - c) / y.size, rel=1e-6)


# --- Bradley–Terry with ties ------------------------------------------------------------------------------------------


def duels(strength: dict[str, float], tie: float, votes: int, seed: int = 0) -> pd.DataFrame:
    """Votes by Davidson's model, on 40 prompts by 12 voters."""
    rng = np.random.default_rng(seed)
    names = list(strength)
    rows = []
    for number in range(votes):
        one, two = rng.choice(len(names), 2, replace=False)
        a, b = np.exp(strength[names[one]]), np.exp(strength[names[two]])
        p = np.array([a, tie * np.sqrt(a * b), b])
        rows.append(
            (names[one], names[two], rng.choice([1, 0.5, 0], p=p / p.sum()), number % 40, number % 12)
        )
    return pd.DataFrame(rows, columns=["method", "other", "score", "prompt", "voter"])


def test_strengths_and_ties_are_those_that_were_put_in() -> None:
    known = {"standard": 0.0, "a": 0.8, "b": -0.4}
    table = davidson(duels(known, 0.7, 6000), list(known)).set_index("method")
    for method, strength in known.items():
        assert table.loc[method, "strength"] == pytest.approx(strength, abs=0.12)
        assert table.loc[method, "low"] <= strength <= table.loc[method, "high"]
    assert table["tie"].iloc[0] == pytest.approx(0.7, abs=0.08)
    assert table.loc[["a", "standard", "b"], "rank"].tolist() == [1, 2, 3]


def test_strengths_are_those_of_a_log_linear_model() -> None:
    """Davidson's model is a Poisson regression on counts (Fienberg and Larntz 1976), which statsmodels fits."""
    sm = pytest.importorskip("statsmodels.api")
    names = ["standard", "a", "b"]
    votes = duels({"standard": 0.0, "a": 0.8, "b": -0.4}, 0.7, 900, seed=4)
    rows, counts = [], []
    for place, (one, two) in enumerate([(0, 1), (0, 2), (1, 2)]):
        own = votes[
            votes["method"].isin([names[one], names[two]]) & votes["other"].isin([names[one], names[two]])
        ]
        score = own["score"].where(own["method"] == names[one], 1 - own["score"])
        for outcome, share in ((1.0, (1.0, 0.0)), (0.5, (0.5, 0.5)), (0.0, (0.0, 1.0))):
            row = np.zeros(6)
            row[place], row[5] = 1, outcome == 0.5
            for method, part in zip((one, two), share, strict=True):
                if method:
                    row[2 + method] += part
            rows.append(row)
            counts.append((score == outcome).sum() + (0.5 if outcome == 0.5 else 0.25))
    fit = sm.GLM(np.array(counts), np.array(rows), family=sm.families.Poisson()).fit()
    table = davidson(votes, names).set_index("method")
    assert table.loc[["a", "b"], "strength"].to_numpy() == pytest.approx(fit.params[3:5], abs=1e-5)
    assert np.log(table["tie"].iloc[0]) == pytest.approx(fit.params[5], abs=1e-5)


def test_intervals_of_strengths_hold() -> None:
    known = {"standard": 0.0, "a": 0.5, "b": -0.3}
    inside = []
    for seed in range(40):
        table = davidson(duels(known, 0.5, 300, seed), list(known)).set_index("method")
        inside += [table.loc[m, "low"] <= known[m] <= table.loc[m, "high"] for m in ("a", "b")]
    assert np.mean(inside) >= 0.88


def test_a_method_that_wins_all_has_a_finite_strength() -> None:
    votes = duels({"standard": 0.0, "a": 30.0}, 0.01, 60)
    table = davidson(votes, ["standard", "a"]).set_index("method")
    assert 2 < table.loc["a", "strength"] < 10
    assert table.loc["a", "low"] < table.loc["a", "strength"] < table.loc["a", "high"] < 30


def test_strengths_of_strangers_are_refused() -> None:
    votes = duels({"standard": 0.0, "a": 1.0}, 0.5, 10)
    with pytest.raises(BadValue, match="a"):
        davidson(votes, ["standard", "b"])
    with pytest.raises(BadValue, match="two methods"):
        davidson(votes, ["standard"])


# --- agreement --------------------------------------------------------------------------------------------------------

_ = np.nan
#: The reliability data of Krippendorff's worked example: four observers, twelve units, values 1 to 5.
EXAMPLE = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
        [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
    ]
)


@pytest.mark.parametrize(("level", "published"), [("nominal", 0.743), ("ordinal", 0.815)])
def test_alpha_of_the_published_example(level, published) -> None:
    counts = np.stack([(value == EXAMPLE).sum(0) for value in range(1, 6)], 1).astype(float)
    assert alpha(counts, level) == pytest.approx(published, abs=5e-4)
    low, high = alpha_interval(counts, np.arange(12), level)
    assert low < published < high <= 1


@pytest.mark.parametrize("level", ["nominal", "ordinal"])
def test_alpha_of_voters_with_a_known_reliability(level) -> None:
    """Of each vote a share s is the pair's own verdict and the rest is drawn like it: α is s²."""
    rng = np.random.default_rng(0)
    share, units, voters, p = 0.8, 3000, 4, [0.5, 0.2, 0.3]
    own = rng.choice(3, units, p=p)
    votes = np.where(rng.random((units, voters)) < share, own[:, None], rng.choice(3, (units, voters), p=p))
    votes = np.where(rng.random(votes.shape) < 0.3, -1, votes)  # missing
    counts = np.stack([(votes == value).sum(1) for value in range(3)], 1).astype(float)
    assert alpha(counts, level) == pytest.approx(share**2, abs=0.02)
    low, high = alpha_interval(counts, np.arange(units) // 10, level)
    assert low < share**2 < high and high - low < 0.06


def test_which_image_is_the_first_does_not_matter_where_pairs_are_mirrored() -> None:
    """Voters who all prefer the second image agree; taken as it stands, α sees one value only."""
    rng = np.random.default_rng(0)
    counts = rng.multinomial(4, [0.1, 0.1, 0.8], 200).astype(float)
    turned = np.where(rng.random((200, 1)) < 0.5, counts[:, ::-1], counts)
    for level in ("nominal", "ordinal"):
        found = alpha(counts, level, [2, 1, 0])
        assert found == alpha(turned, level, [2, 1, 0]) == pytest.approx(alpha(turned, level), abs=0.03)
        assert found > 0.3 > abs(alpha(counts, level)) + 0.2


def test_alpha_of_nothing_is_unknown() -> None:
    assert np.isnan(alpha(np.array([[1.0, 0.0], [0.0, 1.0]])))  # single votes
    assert np.isnan(alpha(np.array([[2.0, 0.0], [3.0, 0.0]])))  # all say the same
    assert np.isnan(alpha_interval(np.array([[2.0, 0.0]]), np.zeros(1))[0])


# --- planning ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompts", "voters", "peeking"), [(50, 40, False), (50, 40, True), (100, 30, True), (60, 1, False)]
)
def test_a_planned_study_is_as_precise_as_it_says(prompts: int, voters: int, peeking: bool) -> None:
    like = assumed(0.6, 0.2, 0.05, 0.02)
    plan = planned(0.09, like, prompts, voters, peeking=peeking)
    assert plan.width <= 0.09 < half_width(like, plan.votes - 1, prompts, voters, peeking)
    design = Design(prompts, voters, -(-plan.votes // voters), 0.0, 0.0)
    rng = np.random.default_rng(0)
    widths = []
    for _try in range(20):
        outcomes, prompt, voter, _ = design.draw(rng)
        found = Rate.of(outcomes, prompt, voter)
        low, high = found.always() if peeking else found.interval()
        widths.append((high - low) / 2)
    assert np.median(widths) <= 0.09 * 1.15


def test_what_is_out_of_reach_says_what_would_do() -> None:
    like = assumed(0.6, 0.2, 0.1, 0.05)
    with pytest.raises(BadValue, match=r"out of reach.*20 voters and 200 prompts would do"):
        planned(0.05, like, 50, 5)
    with pytest.raises(BadValue, match="not at all"):
        planned(0.05, like, 50, 3, peeking=True)


@pytest.mark.parametrize(
    "wrong",
    [(1.2, 0.2, 0.1, 0.1), (0.5, -0.1, 0, 0), (0.5, 0.2, 0.8, 0.4), (0.05, 0.4, 0, 0), (0.5, 1.0, 0, 0)],
)
def test_assumptions_that_cannot_be_are_refused(wrong) -> None:
    with pytest.raises(BadValue):
        assumed(*wrong)


@pytest.mark.parametrize("precision", [0, 0.5, -1, float("nan")])
def test_precisions_that_cannot_be_are_refused(precision) -> None:
    with pytest.raises(BadValue, match="precision"):
        planned(precision, assumed(0.5, 0.2, 0.1, 0.1), 50, 20)
