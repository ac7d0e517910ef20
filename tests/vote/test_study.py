"""Who is shown what: blind, balanced, at random, kept before it is seen, and counted once."""

from __future__ import annotations

import io
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from noisekit.errors import BadValue, NoisekitError
from noisekit.results import Run, load_run
from noisekit.store import lines
from noisekit.store.store import Store
from noisekit.vote import questions
from noisekit.vote.pairs import named, pairs
from noisekit.vote.showing import encoded, picture
from noisekit.vote.study import APART, NOISE, Ballot, Rules, Study
from tests.vote.conftest import COSINE, METHODS, RENO

QUESTIONS = ("alignment", "overall")
PLAIN = Rules(repeats=0, attention=0)


@pytest.fixture
def begin(run: Run) -> Iterator[Callable[..., Study]]:
    """Open the study of a run, again each time."""
    opened = []

    def begun(rules: Rules = PLAIN, methods=METHODS, asked=QUESTIONS, seed=0, run=run) -> Study:
        store = Store.prepare(run.folder, "per_prompt")
        opened.append(store)
        return Study(store, pairs(run.frame(), methods), asked, rules, Random(seed))

    yield begun
    for store in opened:
        store.__exit__()


def answered(ballot: Ballot, answer: str = "left") -> dict[str, str]:
    return dict.fromkeys(ballot.questions, answer)


def all_of(study: Study, voter: str, answer: str = "left") -> list[Ballot]:
    """What a voter is shown until the end."""
    seen = []
    while (ballot := study.next(voter)) is not None:
        study.vote(ballot.ballot, voter, answered(ballot, answer), 1.5)
        seen.append(ballot)
    return seen


def test_a_voter_sees_each_pair_once(begin) -> None:
    study = begin()
    shown = [frozenset((ballot.left, ballot.right)) for ballot in all_of(study, "ann")]
    assert len(set(shown)) == len(shown) == 3 * 4 * 2


@pytest.mark.parametrize("seed", range(3))
def test_pairs_methods_prompts_and_sides_are_balanced(begin, seed: int) -> None:
    """At any time no pair has two votes more than another, nor two methods, nor a voter's prompts."""
    study = begin(seed=seed)
    by_pair, contests, left = Counter(), Counter(), Counter()
    mine = {voter: Counter() for voter in "abcd"}
    for turn in range(48):
        voter = "abcd"[turn % 4]
        ballot = study.next(voter)
        study.vote(ballot.ballot, voter, answered(ballot), None)
        pair = study.pair(ballot)
        by_pair[pair.key] += 1
        contests[pair.methods] += 1
        left[ballot.left == pair.one] += 1
        mine[voter][pair.prompt] += 1
        assert max(contests.values()) - (min(contests.values()) if len(contests) == 3 else 0) <= 1
        assert max(by_pair.values()) - (min(by_pair.values()) if len(by_pair) == 24 else 0) <= 1
    assert set(by_pair.values()) == {2}
    assert 10 <= left[True] <= 38
    for counts in mine.values():
        assert max(counts.values()) - min(counts.values()) <= 2


def test_what_was_shown_and_said_outlives_the_server(begin) -> None:
    first = begin()
    done = [first.next("ann") for _ in range(1)]
    first.vote(done[0].ballot, "ann", answered(done[0]), 2.0)
    open_ballot = first.next("ann")
    other = first.next("ben")
    again = begin()
    assert again.next("ann") == open_ballot and again.next("ben") == other
    assert again.vote(open_ballot.ballot, "ann", answered(open_ballot))
    assert not again.vote(done[0].ballot, "ann", answered(done[0], "right"))
    assert len({frozenset((b.left, b.right)) for b in (*done, open_ballot, *all_of(again, "ann"))}) == 24


def test_a_vote_twice_counts_once(begin, run: Run) -> None:
    study = begin()
    ballot = study.next("ann")
    assert study.vote(ballot.ballot, "ann", answered(ballot, "left"))
    assert not study.vote(ballot.ballot, "ann", answered(ballot, "right"))
    lines = Store.read(run.folder).lines("votes")
    assert [(line["question"], line["answer"]) for line in lines] == [(name, "left") for name in QUESTIONS]


def test_many_voters_at_once_lose_nothing(begin, run: Run) -> None:
    study = begin(Rules(repeats=0.2, attention=0.1))
    with ThreadPoolExecutor(8) as pool:
        shown = dict(zip("abcdefgh", pool.map(lambda voter: all_of(study, voter), "abcdefgh"), strict=True))
    lines = Store.read(run.folder).lines("votes")
    assert Counter((line["ballot"], line["question"]) for line in lines).most_common(1)[0][1] == 1
    assert {line["ballot"] for line in lines} == {ballot.ballot for own in shown.values() for ballot in own}
    assert all(sum(ballot.purpose == "pair" for ballot in own) == 24 for own in shown.values())


def test_repeats_and_attention_come_as_often_as_asked_and_late_enough(begin) -> None:
    study = begin(Rules(repeats=0.2, attention=0.1), seed=5)
    purposes: Counter[str] = Counter()
    for voter in (f"v{number}" for number in range(12)):
        own = all_of(study, voter)
        place = {ballot.ballot: at for at, ballot in enumerate(own)}
        purposes.update(ballot.purpose for ballot in own)
        for at, ballot in enumerate(own):
            if ballot.of is not None:
                first = own[place[ballot.of]]
                same = (first.left, first.right)
                assert at - place[ballot.of] > APART and first.purpose == "pair"
                swapped = ballot.purpose == "swapped"
                assert (ballot.left, ballot.right) == (same[::-1] if swapped else same)
        repeated = [ballot.of for ballot in own if ballot.of]
        assert len(set(repeated)) == len(repeated)
    total = sum(purposes.values())
    assert 0.08 < (purposes["repeat"] + purposes["swapped"]) / total < 0.25
    assert 0.04 < purposes["attention"] / total < 0.16
    assert purposes["repeat"] > 10 and purposes["swapped"] > 10


def test_methods_that_join_later_are_asked_first(begin, make_run, run: Run) -> None:
    two = begin(methods=("standard", COSINE))
    for voter in "ab":
        all_of(two, voter)
    three = begin()
    joined = [three.pair(ballot).methods for ballot in all_of(three, "a")]
    assert len(joined) == 16 and all(RENO in methods for methods in joined)


def test_a_question_that_joins_later_is_asked_too(begin) -> None:
    assert len(all_of(begin(asked=("overall",)), "ann")) == 24
    more = begin(asked=("overall", "detail"))
    assert len(all_of(more, "ann")) == 24
    assert more.next("ann") is None


def test_a_voter_stops_after_as_many_as_were_asked_for(begin) -> None:
    study = begin(Rules(repeats=0, attention=0, each=5))
    assert len(all_of(study, "ann")) == 5
    assert study.progress("ann") == (5, 5)


def test_only_those_who_were_asked_may_vote(begin) -> None:
    study = begin(Rules(voters=frozenset({"ann"})))
    assert study.next("ann")
    with pytest.raises(BadValue, match="none of this study"):
        study.next("eve")


WRONG = {
    "nothing": {},
    "half": {"overall": "left"},
    "more": {"overall": "left", "alignment": "left", "detail": "left"},
    "unknown": {"overall": "left", "alignment": "up"},
    "code": {"overall": "left", "alignment": "<script>"},
}


@pytest.mark.parametrize("answers", WRONG.values(), ids=WRONG)
def test_answers_that_are_none_are_refused_and_not_kept(begin, run: Run, answers) -> None:
    study = begin()
    ballot = study.next("ann")
    with pytest.raises(BadValue, match="answers"):
        study.vote(ballot.ballot, "ann", answers)
    assert Store.read(run.folder).lines("votes") == []
    assert study.vote(ballot.ballot, "ann", answered(ballot))


@pytest.mark.parametrize("seconds", [-1, 1e9, float("nan"), float("inf")])
def test_times_that_cannot_be_are_refused(begin, seconds) -> None:
    study = begin()
    ballot = study.next("ann")
    with pytest.raises(BadValue, match="seconds"):
        study.vote(ballot.ballot, "ann", answered(ballot), seconds)


def test_a_ballot_is_of_the_voter_who_was_shown_it(begin) -> None:
    study = begin()
    ballot = study.next("ann")
    for name, voter in ((ballot.ballot, "eve"), ("0" * 32, "ann"), ("", "ann")):
        with pytest.raises(BadValue, match="not shown"):
            study.vote(name, voter, answered(ballot))


def test_a_full_disk_loses_the_vote_that_it_refuses_and_no_other(begin, run, monkeypatch) -> None:
    study = begin()
    ballot = study.next("ann")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(lines.LineFile, "append", full)
        with pytest.raises(NoisekitError):
            study.vote(ballot.ballot, "ann", answered(ballot))
    assert study.vote(ballot.ballot, "ann", answered(ballot))
    assert len(Store.read(run.folder).lines("votes")) == len(QUESTIONS)


@pytest.mark.parametrize("rules", [(0.6, 0.0), (0.3, 0.3), (-0.1, 0.0), (float("nan"), 0.0)])
def test_shares_that_leave_nothing_are_refused(rules) -> None:
    with pytest.raises(BadValue, match="shares"):
        Rules(*rules)


# --- which pairs there are --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "method"), [("standard", "standard"), ("cosine", COSINE), (COSINE, COSINE), ("reno", RENO)]
)
def test_methods_are_meant_by_label_or_bare_name(text: str, method: str) -> None:
    assert named(text, {name: name for name in METHODS}) == method


def test_a_name_of_several_methods_is_refused() -> None:
    with pytest.raises(BadValue, match="2 methods"):
        named("reno", {name: name for name in ("standard", RENO, "reno(steps=9, lr=5.0)")})
    with pytest.raises(BadValue, match="no method"):
        named("npnet", {name: name for name in METHODS})


def test_pairs_are_of_one_prompt_and_seed(run: Run) -> None:
    frame = run.frame().set_index("image")
    for pair in pairs(run.frame()):
        one, two = frame.loc[pair.one], frame.loc[pair.two]
        assert (one["prompt"], one["seed"], one["model"]) == (two["prompt"], two["seed"], two["model"])
        assert (one["method"], two["method"]) == pair.methods


@pytest.mark.parametrize("asked", [("standard",), ("standard", "standard"), ("npnet", "standard")])
def test_pairs_that_are_none_are_refused(run: Run, asked) -> None:
    with pytest.raises(BadValue):
        pairs(run.frame(), asked)
    with pytest.raises(BadValue, match="no model"):
        pairs(run.frame(), (), "sdxl")


def test_questions_are_known_ones_or_ones_own() -> None:
    assert list(questions.chosen(["alignment", "mood=Which one is gloomier?"])) == ["alignment", "mood"]
    for wrong in (["mood"], [], ["alignment", "alignment"], ["a b=c?"], ["mood="], ["mood=" + 301 * "?"]):
        with pytest.raises(BadValue):
            questions.chosen(wrong)


def test_noise_stands_beside_an_image_and_no_method_is_told_of(begin, run: Run) -> None:
    study = begin(Rules(repeats=0, attention=0.5), seed=2)
    shown = next(b for b in iter(lambda: study_vote(study, "ann"), None) if NOISE in (b.left, b.right))
    for side, name in product(("left", "right"), (0, 1)):
        content = picture(run.folder, shown, side)
        opened = Image.open(io.BytesIO(content))
        assert opened.size == (24, 24) and not opened.info
        assert content == picture(run.folder, shown, side) or name
    noise = "left" if shown.left == NOISE else "right"
    assert 60 < np.asarray(Image.open(io.BytesIO(picture(run.folder, shown, noise)))).std() < 90


def test_a_picture_is_its_pixels_and_nothing_else() -> None:
    text = PngInfo()
    text.add_text("method", "reno")
    buffer = io.BytesIO()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    made = Image.new("RGB", (8, 8), "red")
    made.save(buffer, "PNG", pnginfo=text, icc_profile=profile, dpi=(72, 72))
    image = Image.open(buffer)
    image.load()
    assert {"method", "icc_profile"} <= set(image.info)
    content = encoded(image)
    again = Image.open(io.BytesIO(content))
    assert again.convert("RGB").tobytes() == made.tobytes()
    assert not again.info
    assert content.count(b"IDAT") == 1 and len(content) < 200


def study_vote(study: Study, voter: str) -> Ballot | None:
    ballot = study.next(voter)
    if ballot is not None:
        study.vote(ballot.ballot, voter, answered(ballot))
    return ballot


def test_a_committed_store_takes_votes(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "tests" / "data" / "store-1", tmp_path / "old")
    run = load_run(tmp_path / "old")
    with Store.prepare(run.folder, run.manifest["noise"]) as store:
        study = Study(store, pairs(run.frame()), ["overall"], PLAIN)
        ballot = study.next("ann")
        assert ballot is not None and study.vote(ballot.ballot, "ann", answered(ballot))
