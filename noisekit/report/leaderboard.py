"""Who wins where nobody had a hand in the metric: the first table of a report.

A metric that a method climbed, or was filtered by, is no evidence for it. So the mean rank is over the metrics that no
method on the model optimised; and since one method that climbs everything would leave none, every two methods also meet on
all metrics that neither of the two optimised.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from noisekit.evaluation.ranks import Ranks
from noisekit.report.tables import DASH, Comparison, Line, Ranking, number


@dataclass(frozen=True)
class Place:
    """Where one method stands. duels: how many it won, left open and lost; none of either where there were none."""

    line: Line
    rank: str
    interval: str
    won: int
    open: int
    lost: int

    @property
    def duels_text(self) -> str:
        """Won / open / lost."""
        return f"{self.won} / {self.open} / {self.lost}" if self.won + self.open + self.lost else DASH

    @property
    def optimised(self) -> list[str]:
        return self.line.optimised


@dataclass(frozen=True)
class Leaderboard:
    """The methods of one model in order.

    lead: the metric of the first verdict, the truth where there is one. held_out: the rewards that no method optimised.
    climbed: the others, each with those who had a hand in it. prompts: how many the ranks are over, 0 without ranks.
    """

    places: Sequence[Place]
    lead: str
    held_out: Sequence[str]
    climbed: Mapping[str, Sequence[str]]
    prompts: int

    @property
    def verdicts(self) -> Mapping[str, int]:
        """How many methods are better than standard on the lead metric beyond the interval, worse, and open."""
        return Counter(self.of(place.line).verdict for place in self.places)

    def of(self, line: Line) -> Comparison:
        """The lead comparison of a method."""
        return line.comparisons[self.lead]


def leaderboards(ranked: Ranking) -> dict[str, Leaderboard]:
    """By model."""
    return {model: _leaderboard(ranked, model) for model in ranked.models if ranked.metrics}


def _leaderboard(ranked: Ranking, model: str) -> Leaderboard:
    lines, ranks = ranked.models[model], ranked.ranks.get(model)
    held_out = [metric for metric in ranked.held_out(model) if metric != ranked.truth]
    climbed = {
        metric: [line.label for line in lines if line.comparisons[metric].optimised]
        for metric in ranked.metrics
        if metric not in held_out and metric != ranked.truth
    }
    return Leaderboard(
        [_place(line, lines, ranks, held_out) for line in lines],
        ranked.metrics[0],
        held_out,
        climbed,
        ranks.prompts if ranks else 0,
    )


def _place(line: Line, lines: Sequence[Line], ranks: Ranks | None, held_out: Sequence[str]) -> Place:
    if ranks is None:
        return Place(line, DASH, "", 0, 0, 0)
    judges = [metric for metric in held_out if metric in ranks.metrics]
    rank, interval = DASH, ""
    if judges:
        mean, low, high = ranks.of(judges).T[line.method].tolist()
        rank, interval = number(mean, 1), f"[{number(low, 1)}, {number(high, 1)}]"
    outcomes = Counter(
        ranks.duel(line.method, other.method, metric)
        for other in lines
        for metric in ranks.metrics
        if other is not line
        and not line.comparisons[metric].optimised
        and not other.comparisons[metric].optimised
    )
    return Place(line, rank, interval, outcomes[1], outcomes[0], outcomes[-1])
