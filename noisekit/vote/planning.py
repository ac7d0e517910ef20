"""How many votes a win rate takes to be known as well as wanted.

    s²(n)  = σ²_prompt/P + σ²_voter/V + σ²_rest/n              n votes on P prompts by V voters, spread evenly
    width  = z(f)·s(n)                                         half of the interval's length

f as `vote.clusters` has it, with the mean squares that such votes have. More votes take away the last term only: where the
first two alone are too wide, more prompts or voters are needed, and no number of votes will do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from noisekit.errors import BadValue
from noisekit.vote.clusters import VOTERS, Shares
from noisekit.vote.rates import boundary

#: More votes than anybody gathers.
MOST = 10_000_000


@dataclass(frozen=True)
class Planned:
    """votes: in all, for one question and one pair of methods. width: half of the interval then."""

    votes: int
    prompts: int
    voters: int
    width: float
    peeking: bool

    def __str__(self) -> str:
        each = -(-self.votes // self.voters)
        peeking = "at whatever time one looks" if self.peeking else "when all votes are in"
        return (
            f"{self.votes} votes for each two methods and each question, {each} by each of {self.voters} voters on "
            f"{self.prompts} prompts: a win rate is then known to ± {self.width:.3f}, {peeking}"
        )


def assumed(rate: float, ties: float, prompt: float, voter: float) -> Shares:
    """What votes are taken to be like before there are any.

    Args:
        rate: The win rate, ties counting half.
        ties: The share of ties, and of pairs in which both are bad.
        prompt: The share of the variance of a vote that its prompt brings.
        voter: The same of its voter.

    Raises:
        BadValue: a share outside 0 … 1, or shares that make more than the whole.
    """
    for name, value in {"rate": rate, "ties": ties, "prompt share": prompt, "voter share": voter}.items():
        if not 0 <= value <= 1:
            raise BadValue(f"{name} {value!r} is no share between 0 and 1")
    if prompt + voter > 1:
        raise BadValue(f"prompt share {prompt:g} and voter share {voter:g} are more than the whole together")
    if not ties / 2 <= rate <= 1 - ties / 2 or not rate * (1 - rate) - ties / 4 > 0:
        raise BadValue(
            f"a rate of {rate:g} cannot be with {ties:g} of ties; give fewer ties, or a rate nearer to .5"
        )
    variance = rate * (1 - rate) - ties / 4
    return Shares(prompt * variance, voter * variance, (1 - prompt - voter) * variance)


def half_width(shares: Shares, votes: float, prompts: int, voters: int, peeking: bool = False) -> float:
    """Half of the interval of a rate, made once or (peeking) holding at all times."""
    of_rest = shares.rest / votes
    of_prompt = shares.prompt / prompts + of_rest
    of_voter = shares.voter / voters + of_rest if voters >= VOTERS else 0.0
    variance = of_prompt + max(of_voter - of_rest, 0.0)
    if peeking:
        return boundary(min(prompts, voters) - 1) * float(np.sqrt(variance))
    doubt = of_prompt**2 / (prompts - 1)
    if of_voter > of_rest:
        doubt += of_voter**2 / (voters - 1) + of_rest**2 / max(1.0, votes - 1)
    from scipy.special import stdtrit  # slow to import, and a listing needs no interval

    return float(stdtrit(variance**2 / doubt, 0.975) * np.sqrt(variance))


def planned(
    precision: float, shares: Shares, prompts: int, voters: int, most: int = MOST, peeking: bool = False
) -> Planned:
    """The fewest votes with which a rate's interval is ± `precision` or less.

    Args:
        precision: Half of the interval's length, such as 0.05.
        shares: What the variance of a vote is made of: measured (`vote.clusters.shares`) or `assumed`.
        prompts: How many prompts are voted on, two or more.
        voters: How many people vote.
        most: As many votes as there are pairs for these voters to see.
        peeking: Whether somebody looks while votes come in.

    Raises:
        BadValue: it cannot be with these prompts and voters; the sentence says what they reach, and how many would do.
    """
    if not 0 < precision < 0.5:
        raise BadValue(f"precision {precision!r} is not between 0 and 0.5, half of the interval of a rate")
    if prompts < 2 or voters < 1:
        raise BadValue(
            f"{prompts} prompts and {voters} voters are too few; give two prompts and a voter at least"
        )
    if half_width(shares, most, prompts, voters, peeking) > precision:
        raise BadValue(_out_of_reach(precision, shares, prompts, voters, most, peeking))
    few, enough = 1, most
    while enough - few > 1:
        middle = (few + enough) // 2
        if half_width(shares, middle, prompts, voters, peeking) <= precision:
            enough = middle
        else:
            few = middle
    return Planned(enough, prompts, voters, half_width(shares, enough, prompts, voters, peeking), peeking)


def _out_of_reach(
    precision: float, shares: Shares, prompts: int, voters: int, most: int, peeking: bool
) -> str:
    reach = half_width(shares, most, prompts, voters, peeking)
    known = f"to ± {reach:.3f} at best" if np.isfinite(reach) else "not at all"
    said = f"± {precision:g} is out of reach: {most} votes by {voters} voters on {prompts} prompts tell a rate {known}"
    for factor in (2, 4, 8, 16, 32, 64):
        more = {"voters": voters * factor, "prompts": prompts * factor}
        for names in (("voters",), ("prompts",), ("voters", "prompts")):
            tried = {"prompts": prompts, "voters": voters} | {name: more[name] for name in names}
            if half_width(shares, most * factor, **tried, peeking=peeking) <= precision:
                return f"{said}; {' and '.join(f'{more[name]} {name}' for name in names)} would do"
    return f"{said}; be content with less"
