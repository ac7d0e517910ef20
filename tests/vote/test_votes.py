"""What votes say: scripted voters with known habits are read as what they are."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np
import pandas as pd
import pytest

from noisekit.errors import BadValue
from noisekit.runs import Run, load_run
from noisekit.store.store import Store
from noisekit.vote.pairs import pairs
from noisekit.vote.predictors import ANOTHER
from noisekit.vote.study import NOISE, Ballot, Rules, Study
from noisekit.vote.votes import COLUMNS
from tests.vote.conftest import COSINE, HOSTILE, METHODS, RENO

MANY = {f"prompt {number}": ("single", "pair")[number % 2] for number in range(20)}
#: The worth of an image to a voter who sees the truth: that of its method, as the run's metric "truth" has it.
WORTH = {method: place / 2 for place, method in enumerate(METHODS)} | {NOISE: -9.0}

Habit = Callable[[str, str, str, Random], str]


def sighted(left: float, right: float, voter: str, chance: Random) -> str:
    """Prefers what is worth more in 8 of 10 votes, and says tie in 2 of 10 of the others."""
    if abs(left - right) > 5 or chance.random() < 0.8:
        return "left" if left > right else "right"
    return "tie" if chance.random() < 0.2 else ("left" if left < right else "right")


def lazy(left: float, right: float, voter: str, chance: Random) -> str:
    return "left"


@pytest.fixture
def voted(make_run) -> Callable[..., Run]:
    """A run that voters with habits have voted on until they had seen all."""

    def made(habits=None, rules=None, prompts=MANY, asked=("overall",), name="voted") -> Run:
        run = make_run(prompts=prompts, name=name)
        method = run.frame().set_index("image")["method"].to_dict() | {NOISE: NOISE}
        chance = Random(1)
        with Store.prepare(run.folder, "per_prompt") as store:
            study = Study(store, pairs(run.frame()), asked, rules or Rules(0.1, 0.05), Random(0))
            for voter, habit in (habits or dict.fromkeys("abcdef", sighted)).items():
                while (ballot := study.next(voter)) is not None:
                    left, right = (WORTH[method[side]] for side in (ballot.left, ballot.right))
                    answers = {name: habit(left, right, voter, chance) for name in ballot.questions}
                    study.vote(ballot.ballot, voter, answers, 2.0)
        return load_run(run.folder)

    return made


def test_a_run_without_votes_says_nothing_and_breaks_nothing(run: Run) -> None:
    votes = run.votes()
    assert len(votes) == 0 and list(votes.frame().columns) == COLUMNS
    for table in (votes.rates(), votes.strengths(), votes.agreement(), votes.voters(), votes.predictors()):
        assert table.empty
    assert votes.of_images().empty and np.isnan(votes.self_agreement().rate)
    with pytest.raises(BadValue, match="too few votes"):
        votes.shares()


def test_all_that_scripted_voters_are_is_read_off_their_votes(voted) -> None:
    run = voted()
    votes = run.votes()
    assert len(votes) == 6 * 20 * 2 * 3
    rates = votes.rates().set_index(["method", "other"])
    assert set(rates.index) == {(COSINE, "standard"), (RENO, "standard"), (RENO, COSINE)}
    known = 0.8 + 0.2 * 0.2 / 2
    for row in rates.itertuples():
        assert (row.votes, row.prompts, row.voters) == (240, 20, 6)
        assert row.always_low < row.low < row.high < row.always_high
        assert row.always_low <= known <= row.always_high
        assert row.rate == (row.wins + row.ties / 2) / row.votes
    strengths = votes.strengths().set_index("method")
    assert strengths.loc[[RENO, COSINE, "standard"], "rank"].tolist() == [1, 2, 3]
    found = votes.predictors().set_index(["category", "metric"])
    right = 0.8 / (0.8 + 0.2 * 0.8)  # of the votes that are no ties
    for category in ("", "single", "pair"):
        row = found.loc[category, "truth"]
        assert row["low"] < right < row["high"]
        assert found.loc[(category, "hps"), "accuracy"] < row["accuracy"]
    both = right**2 + (1 - right) ** 2
    assert found.loc[("", ANOTHER), "accuracy"] == pytest.approx(both, abs=0.06)
    agreement = votes.agreement().iloc[0]
    assert agreement["units"] == 120 and agreement["votes"] == 720
    assert 0.2 < agreement["ordinal_low"] < agreement["ordinal"] < agreement["ordinal_high"] < 0.8
    voters = votes.voters()
    assert voters["attentive"].eq(1).all() and voters["votes"].eq(120).all()
    assert voters["left"].between(0.35, 0.65).all() and voters["seconds"].eq(2).all()
    same = votes.self_agreement()
    expected = 0.8**2 + 0.04**2 + 0.16**2
    assert same.votes > 30 and abs(same.rate - expected) < 0.2


def test_those_who_do_not_look_are_found_and_left_out(voted) -> None:
    votes = voted(dict.fromkeys("abcd", sighted) | {"lazy": lazy}, Rules(0.2, 0.15)).votes()
    table = votes.voters().set_index("voter")
    assert table.loc["lazy", "left"] == 1 and table.loc["lazy", "attentive"] < 0.9
    assert table.loc["lazy", "swapped_same"] == 0 and table.loc["a", "swapped_same"] > 0.4
    rest = votes.without("lazy")
    assert set(rest.frame()["voter"]) == set("abcd")
    assert rest.rates()["rate"].min() > votes.rates()["rate"].min()
    with pytest.raises(BadValue, match="nobody"):
        votes.without("eve")


@pytest.mark.parametrize("noise", ["shared", "published"])
def test_where_prompts_share_their_noises_seeds_are_drawn_too(voted, noise: str) -> None:
    """Two seeds tell nothing of others, and no plan of prompts and voters is made of them."""
    run = voted(dict.fromkeys("abc", sighted))
    own = run.votes()
    run.manifest = {**run.manifest, "noise": noise}
    shared = run.votes()
    assert len(shared) == len(own) > 0
    rates, free = shared.rates(), own.rates()
    assert rates["rate"].equals(free["rate"]) and not free["low"].isna().any()
    assert rates["low"].isna().all() and rates["always_low"].eq(0).all() and rates["always_high"].eq(1).all()
    assert shared.strengths()["low"].isna().tolist() == [True, True, False]  # standard is where it is
    assert own.strengths()["low"].notna().all()
    for table, ends in (("agreement", "nominal_low"), ("predictors", "low")):
        assert getattr(shared, table)()[ends].isna().all() and getattr(own, table)()[ends].notna().any()
    assert shared.without("a").rates()["low"].isna().all()
    with pytest.raises(BadValue, match="differ by seed"):
        shared.shares()


def test_worth_of_images_is_that_of_their_votes(voted) -> None:
    run = voted()
    worth = run.votes().of_images()
    assert set(worth.index) == set(run.frame()["image"])
    by = run.frame().assign(votes=lambda frame: frame["image"].map(worth)).groupby("method")["votes"].mean()
    assert by["standard"] < by[COSINE] < by[RENO]
    assert by.mean() == pytest.approx(0.5)
    rates = run.votes().rates().set_index(["method", "other"])["rate"]
    assert by[RENO] == pytest.approx((rates[RENO, "standard"] + rates[RENO, COSINE]) / 2)


def test_votes_pick_a_method_and_nobody_climbs_them(voted, make_run) -> None:
    from noisekit.results.pick import pick

    choice = pick(voted(), calls=100, metric="votes")
    assert choice.method == RENO and choice.gain.low > 0
    assert any("over prompts alone" in note for note in choice.notes)
    assert "votes" not in pick(load_run(voted(name="again").folder), calls=100).means
    with pytest.raises(BadValue, match="unknown metric"):
        pick(make_run(name="silent"), calls=100, metric="votes")


def test_the_report_says_who_was_preferred_and_what_foretold_it(voted, run: Run) -> None:
    spoken = voted(prompts=MANY | {HOSTILE: "single"}, asked=("alignment", "overall"))
    page = spoken.report().read_text(encoding="utf-8")
    section = page.partition('<section id="votes"')[2].partition("</section>")[0]
    assert section.count("<tr>") == 2 + 2 * 3 + 2 * 3
    row = spoken.votes().rates().iloc[0]
    assert f"{row['wins']} / {row['ties']} / {row['losses']}" in section
    assert ANOTHER in section and "alignment" in section and "truth" in section
    assert HOSTILE not in page
    silent = run.report().read_text(encoding="utf-8")
    assert 'id="votes"' not in silent and "#votes" not in silent


def ballot(one: str, two: str, **more) -> Ballot:
    return Ballot(f"{one}{two}", "ann", one, two, ("overall",), **more)


def lines(*votes: tuple[Ballot, str], voter: str = "ann") -> list[dict]:
    return [
        {"created": float(at), "ballot": b.ballot, "voter": voter, "question": "overall", "answer": answer}
        | {"left": b.left, "right": b.right, "purpose": b.purpose, "of": b.of, "seconds": None}
        for at, (b, answer) in enumerate(votes)
    ]


def images(*methods: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image": list(methods),
            "method": list(methods),
            "model": "m",
            "prompt": "p",
            "seed": 0,
            "kind": None,
        }
    )


@pytest.mark.parametrize("answer", ["left", "right", "tie", "both_bad"])
@pytest.mark.parametrize("sides", [("standard", "b"), ("b", "standard")])
@pytest.mark.parametrize("order", [("standard", "b"), ("b", "standard")])
def test_a_vote_means_the_same_on_either_side(answer: str, sides, order) -> None:
    from noisekit.vote.votes import Votes

    table = Votes(lines((ballot(*sides), answer)), images(*order), {}).frame()
    chosen = {"left": sides[0], "right": sides[1]}.get(answer)
    row = table.iloc[0]
    assert (row["method"], row["other"]) == ("b", "standard")
    assert row["score"] == {"b": 1.0, "standard": 0.0, None: 0.5}[chosen]


def test_what_counts_is_the_first_vote_on_images_that_are_there() -> None:
    from noisekit.vote.votes import Votes

    first, again = ballot("a", "b"), Ballot("later", "ann", "b", "a", ("overall",))
    gone = ballot("a", "z")
    swapped = Ballot("swap", "ann", "b", "a", ("overall",), "swapped", first.ballot)
    votes = Votes(
        lines((first, "left"), (first, "right"), (again, "left"), (gone, "left"), (swapped, "right")),
        images("a", "b"),
        {},
    )
    assert len(votes) == 1 and len(votes.frame()) == 3
    assert votes.rates()[["wins", "losses"]].to_numpy().tolist() == [[0, 1]]
    assert votes.self_agreement().rate == 1
