"""A study: who is shown what next, and what they said; kept in the store before anybody sees it.

A voter gets the pair with the fewest votes; among those the methods with the fewest, and the prompt that he saw least; then
one at random. Sides are drawn at random, and the ballot, as what is shown is called, is written down first: a server that
dies loses nothing, and an answer that comes later finds its ballot. A voter has one open ballot at a time. Some ballots are
his earlier ones again, as they were or with sides swapped, and some hold noise beside an image, for whoever does not look.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from random import Random, SystemRandom
from threading import Lock
from typing import get_args

import numpy as np

from noisekit.errors import BadValue
from noisekit.store.lines import Row
from noisekit.store.schema import Answer, Purpose
from noisekit.store.store import Store
from noisekit.vote.pairs import Pair

#: What stands in the place of an image in an attention pair.
NOISE = "noise"
ANSWERS: tuple[str, ...] = get_args(Answer)
#: A ballot is repeated when so many others lie in between.
APART = 5
#: Seconds after which an open ballot no longer counts as a vote to come.
PATIENCE = 3600.0
#: Seconds that an answer may have taken.
LONGEST = 86_400.0


@dataclass(frozen=True)
class Ballot:
    """What is shown to a voter: paths of the left and right images, and the names of the questions."""

    ballot: str
    voter: str
    left: str
    right: str
    questions: tuple[str, ...]
    purpose: Purpose = "pair"
    of: str | None = None


@dataclass(frozen=True)
class Rules:
    """repeats, attention: shares of ballots that are repeats, or hold noise. each: ballots of a voter (None: all there are).

    voters: the codes that may vote (None: any).
    """

    repeats: float = 0.1
    attention: float = 0.05
    each: int | None = None
    voters: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.repeats and 0 <= self.attention and self.repeats + self.attention <= 0.5):
            raise BadValue(
                f"repeats {self.repeats!r} and attention {self.attention!r} are no shares that leave half of the ballots "
                "to be counted; give 0 … 0.5 for both together"
            )
        if self.each is not None and self.each < 1:
            raise BadValue(f"{self.each} ballots a voter are none; give 1 or more")


@dataclass
class _Voter:
    """What a voter was shown: ballots in order, questions answered by pair, and how often each prompt."""

    ballots: list[Ballot] = field(default_factory=list)
    answered: defaultdict[frozenset[str], set[str]] = field(default_factory=lambda: defaultdict(set))
    prompts: Counter[str] = field(default_factory=Counter)
    repeated: set[str] = field(default_factory=set)
    open: Ballot | None = None
    since: float = 0.0


class Study:
    """The pairs, and the voters who see them. Any number of threads may ask and vote."""

    def __init__(
        self,
        store: Store,
        pairs: Sequence[Pair],
        questions: Sequence[str],
        rules: Rules | None = None,
        random: Random | None = None,
    ) -> None:
        """Take up what the store holds of earlier votes; `store` is one that was prepared for writing."""
        self.rules, self.questions = rules or Rules(), tuple(questions)
        self._store, self._random, self._lock = store, random or SystemRandom(), Lock()
        self._pairs = {pair.key: pair for pair in pairs}
        self._keys = list(self._pairs)
        contests = {pair.methods: None for pair in pairs}
        self._contest = np.array([list(contests).index(self._pairs[key].methods) for key in self._keys])
        self._place = {key: place for place, key in enumerate(self._keys)}
        self._votes = np.zeros(len(self._keys))
        self._voters: defaultdict[str, _Voter] = defaultdict(_Voter)
        self._ballots: dict[str, Ballot] = {}
        self._voted: set[str] = set()
        self._take_up()

    def _take_up(self) -> None:
        voted = {row["ballot"] for row in self._store.lines("votes")}
        for row in self._store.lines("ballots"):
            ballot = Ballot(**{name: row[name] for name in Ballot.__dataclass_fields__})
            self._show(ballot, row["created"])
            if ballot.ballot in voted:
                self._count(ballot)

    def next(self, voter: str) -> Ballot | None:
        """The open ballot of a voter, or a new one; None where he has seen all.

        Raises:
            BadValue: a code that may not vote.
            Unwritable: the store takes no more.
        """
        if self.rules.voters is not None and voter not in self.rules.voters:
            raise BadValue(f"the code {voter!r} is none of this study's; ask for yours")
        with self._lock:
            own = self._voters[voter] if voter in self._voters else _Voter()
            if own.open is not None and (
                own.open.questions == self.questions and self.pair(own.open) is not None
            ):
                return own.open
            if self.rules.each is not None and self._done(own) >= self.rules.each:
                return None
            ballot = self._drawn(voter, own)
            if ballot is None:
                return None
            self._store.append("ballots", [asdict(ballot)])
            self._show(ballot, time.time())
            return ballot

    def sheet(self, voter: str, length: int) -> list[Ballot]:
        """Up to `length` ballots for a voter who is shown them elsewhere, drawn as if he answered each at once."""
        with self._lock:
            drawn: list[Ballot] = []
            while len(drawn) < length:
                ballot = self._drawn(voter, self._voters[voter])
                if ballot is None:
                    break
                drawn.append(ballot)
                self._show(ballot, time.time())
                self._count(ballot)
            self._store.append("ballots", [asdict(ballot) for ballot in drawn])
            return drawn

    def vote(self, ballot: str, voter: str, answers: Mapping[str, str], seconds: float | None = None) -> bool:
        """Keep the answers to a ballot, all of them or none; False where they were given before, and nothing is kept again.

        Raises:
            BadValue: an unknown ballot, another's, or answers that are none to its questions.
            Unwritable: the store takes no more.
        """
        with self._lock:
            shown = self._ballots.get(ballot)
            if shown is None or shown.voter != voter:
                raise BadValue("this ballot was not shown to this voter; load the page again")
            if set(answers) != set(shown.questions) or not set(answers.values()) <= set(ANSWERS):
                raise BadValue(
                    f"the answers are not one of {', '.join(ANSWERS)} to each of {', '.join(shown.questions)}"
                )
            if seconds is not None and not 0 <= seconds <= LONGEST:
                raise BadValue(f"{seconds!r} seconds is no time that a vote can have taken")
            if ballot in self._voted:
                return False
            row: Row = {"ballot": ballot, "voter": voter, "left": shown.left, "right": shown.right}
            row |= {"purpose": shown.purpose, "of": shown.of, "seconds": seconds}
            self._store.append(
                "votes", [row | {"question": name, "answer": answers[name]} for name in shown.questions]
            )
            self._count(shown)
            return True

    def ballot(self, name: str) -> Ballot:
        """A ballot that was shown; raises `BadValue` where there is none."""
        with self._lock:
            if name not in self._ballots:
                raise BadValue("there is no such ballot")
            return self._ballots[name]

    def pair(self, ballot: Ballot) -> Pair | None:
        """The pair that a ballot is of; None where the study no longer has it."""
        if ballot.purpose == "attention":
            image = ballot.right if ballot.left == NOISE else ballot.left
            return next((pair for pair in self._pairs.values() if image in pair.key), None)
        return self._pairs.get(frozenset((ballot.left, ballot.right)))

    def progress(self, voter: str) -> tuple[int, int | None]:
        """How many ballots a voter has answered, and how many he is to answer, where that was set."""
        with self._lock:
            return self._done(self._voters[voter]) if voter in self._voters else 0, self.rules.each

    def _done(self, own: _Voter) -> int:
        return sum(ballot.ballot in self._voted for ballot in own.ballots)

    def _show(self, ballot: Ballot, since: float) -> None:
        own = self._voters[ballot.voter]
        own.ballots.append(ballot)
        own.open, own.since = ballot, since
        self._ballots[ballot.ballot] = ballot
        if ballot.of is not None:
            own.repeated.add(ballot.of)

    def _count(self, ballot: Ballot) -> None:
        own = self._voters[ballot.voter]
        self._voted.add(ballot.ballot)
        if own.open == ballot:
            own.open = None
        key = frozenset((ballot.left, ballot.right))
        if ballot.purpose == "pair" and key in self._pairs:
            own.answered[key] |= set(ballot.questions)
            own.prompts[self._pairs[key].prompt] += 1
            self._votes[self._place[key]] += 1

    def _drawn(self, voter: str, own: _Voter) -> Ballot | None:
        key = self._least_seen(own)
        if key is None:
            return None
        chance = self._random.random()
        if chance < self.rules.repeats and (earlier := self._repeatable(own)):
            again = self._random.choice(earlier)
            swapped = self._random.random() < 0.5
            sides = (again.right, again.left) if swapped else (again.left, again.right)
            return self._ballot(voter, sides, "swapped" if swapped else "repeat", again.ballot)
        sides = (self._pairs[key].one, self._pairs[key].two)
        if chance > 1 - self.rules.attention:
            sides = (self._random.choice(sides), NOISE)
        if self._random.random() < 0.5:
            sides = sides[::-1]
        return self._ballot(voter, sides, "attention" if NOISE in sides else "pair")

    def _ballot(self, voter: str, sides: tuple[str, str], purpose: Purpose, of: str | None = None) -> Ballot:
        return Ballot(secrets.token_hex(16), voter, *sides, self.questions, purpose, of)

    def _repeatable(self, own: _Voter) -> list[Ballot]:
        """A voter's pairs that lie long enough back, were answered, and were not repeated yet."""
        return [
            ballot
            for ballot in own.ballots[:-APART]
            if ballot.purpose == "pair"
            and ballot.ballot in self._voted
            and ballot.ballot not in own.repeated
            and ballot.questions == self.questions
            and frozenset((ballot.left, ballot.right)) in self._pairs
        ]

    def _least_seen(self, own: _Voter) -> frozenset[str] | None:
        """The pair to show next; None where the voter has answered all questions on all of them."""
        asked = set(self.questions)
        unseen = np.array([not asked <= own.answered.get(key, set()) for key in self._keys])
        if not unseen.any():
            return None
        votes = self._votes.copy()
        recent = time.time() - PATIENCE
        for other in self._voters.values():
            if other.open is not None and other is not own and other.since > recent:
                place = self._place.get(frozenset((other.open.left, other.open.right)))
                if place is not None:
                    votes[place] += 1
        contests = np.bincount(self._contest, votes)[self._contest]
        prompts = np.array([own.prompts[self._pairs[key].prompt] for key in self._keys])
        left = np.flatnonzero(unseen)
        for figure in (votes, contests, prompts):
            left = left[figure[left] == figure[left].min()]
        return self._keys[left[self._random.randrange(len(left))]]
