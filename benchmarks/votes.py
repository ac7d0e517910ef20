"""Made-up votes of known preference: how often intervals hold the true win rate, made once, and at every vote.

    y* = effect + prompt + voter + seed + vote   a win above the margin, a loss below minus it, else a tie
    prompt ~ N(0, σ_P²),  voter ~ N(0, σ_V²),  seed ~ N(0, σ_S²) where prompts share their noises,  vote ~ N(0, 1)

The true rate is that of new voters on new prompts, and new seeds. Voters see the prompts in orders of their own, each as
often as any.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import stats

from noisekit.evaluation.intervals import Array
from noisekit.vote.clusters import Codes
from noisekit.vote.rates import Rate

#: Beyond it a vote is no tie.
MARGIN = 0.3


@dataclass(frozen=True)
class Design:
    """votes: of each voter. of_prompt, of_voter, of_seed: σ_P, σ_V and σ_S. seeds: shared by all prompts (0: none are)."""

    prompts: int
    voters: int
    votes: int
    of_prompt: float
    of_voter: float
    effect: float = 0.5
    seeds: int = 0
    of_seed: float = 0.0

    @property
    def effects(self) -> bool:
        """Whether prompts or voters differ."""
        return self.of_prompt > 0 or self.of_voter > 0

    @property
    def rate(self) -> float:
        """The true one."""
        spread = np.sqrt(1 + self.of_prompt**2 + self.of_voter**2 + self.of_seed**2)
        beyond = stats.norm.sf((np.array([MARGIN, -MARGIN]) - self.effect) / spread)
        return float(beyond.mean())

    def draw(
        self, rng: np.random.Generator, one_by_one: bool = False
    ) -> tuple[Array, Codes, Codes, Codes | None]:
        """Worth, prompt, voter and shared seed of every vote, as they come in; one_by_one: voters come after each other."""
        number = self.voters * self.votes
        rounds = -(-number // self.prompts)
        prompt = np.concatenate([rng.permutation(self.prompts) for _ in range(rounds)])[:number]
        voter = np.repeat(np.arange(self.voters), self.votes)
        y = self.effect + rng.normal(0, self.of_prompt, self.prompts)[prompt]
        y += rng.normal(0, self.of_voter, self.voters)[voter] + rng.normal(size=number)
        seed = rng.integers(0, self.seeds, number) if self.seeds else None
        if seed is not None:
            y += rng.normal(0, self.of_seed, self.seeds)[seed]
        order = np.arange(number) if one_by_one else rng.permutation(number)
        worth = np.where(y > MARGIN, 1.0, np.where(y < -MARGIN, 0.0, 0.5))
        return worth[order], prompt[order], voter[order], None if seed is None else seed[order]

    def __str__(self) -> str:
        shared = f"-{self.seeds}s-{self.of_seed:g}" if self.seeds else ""
        return f"{self.prompts}p-{self.voters}v-{self.votes}-{self.of_prompt:g}-{self.of_voter:g}-{self.effect:g}{shared}"


#: Studies from small to large, with effects of prompts, of voters, of both, and of neither.
DESIGNS = [
    Design(*size, *effects, effect)
    for effects, size, effect in product(
        [(0.5, 0.3), (0.8, 0.0), (0.3, 0.8), (0.0, 0.0)],
        [(50, 10, 30), (20, 5, 20), (50, 6, 50), (30, 30, 10), (100, 20, 25)],
        [0.0, 1.0],
    )
]
#: Studies of runs in which all prompts have the same noises, a seed each.
SHARED = [
    Design(*size, *effects, effect, seeds, of_seed)
    for seeds, of_seed, effects, size, effect in product(
        [5, 10, 30], [0.0, 0.6], [(0.5, 0.3)], [(50, 10, 30), (30, 30, 10)], [0.0, 1.0]
    )
]


def held(design: Design, experiments: int, seed: int = 0, told: bool = True) -> float:
    """Share of the intervals, made once, that hold the true rate. told: whether they are told of shared seeds."""
    rng = np.random.default_rng(seed)
    inside = 0
    for _ in range(experiments):
        worth, prompt, voter, shared = design.draw(rng)
        low, high = Rate.of(worth, prompt, voter, shared if told else None).interval()
        inside += low <= design.rate <= high
    return inside / experiments


def always_held(
    design: Design, experiments: int, one_by_one: bool = False, seed: int = 0
) -> tuple[float, float]:
    """Share of studies whose interval holds the rate at every vote from the tenth: that for peeking, that made once."""
    rng = np.random.default_rng(seed)
    always = once = 0
    for _ in range(experiments):
        worth, prompt, voter, _ = design.draw(rng, one_by_one)
        looks = [Rate.of(worth[:n], prompt[:n], voter[:n]) for n in range(10, len(worth) + 1)]
        always += all(low <= design.rate <= high for low, high in (look.always() for look in looks))
        once += not any(
            design.rate < low or high < design.rate for low, high in (look.interval() for look in looks)
        )
    return always / experiments, once / experiments


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--experiments", type=int, default=2000, help="simulated studies a row")
    parser.add_argument(
        "--peeking", type=int, default=500, help="simulated studies a row, looked at after each vote"
    )
    given = parser.parse_args()
    print("| prompts | voters | votes of each | σ_P | σ_V | true rate | coverage |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for one in DESIGNS:
        cells = (one.prompts, one.voters, one.votes, one.of_prompt, one.of_voter, f"{one.rate:.3f}")
        print(f"| {' | '.join(map(str, cells))} | {held(one, given.experiments):.3f} |", flush=True)
    print(
        "\n| prompts | voters | votes of each | seeds shared | σ_S | true rate | coverage | as if seeds were not shared |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for one in SHARED:
        cells = (one.prompts, one.voters, one.votes, one.seeds, one.of_seed, f"{one.rate:.3f}")
        rates = [f"{held(one, given.experiments, told=told):.3f}" for told in (True, False)]
        print(f"| {' | '.join(map(str, (*cells, *rates)))} |", flush=True)
    print(
        "\n| prompts | voters | votes of each | σ_P | σ_V | voters come | always, at every vote | once, at every vote |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for size, effects, one_by_one in product(
        [(20, 5, 20), (50, 12, 20), (50, 20, 15)], [(0.5, 0.3), (0.3, 0.8), (0.0, 0.0)], [False, True]
    ):
        one = Design(*size, *effects)
        come = "one by one" if one_by_one else "together"
        cells = (one.prompts, one.voters, one.votes, one.of_prompt, one.of_voter, come)
        rates = [f"{share:.3f}" for share in always_held(one, given.peeking, one_by_one)]
        print(f"| {' | '.join(map(str, (*cells, *rates)))} |", flush=True)


if __name__ == "__main__":
    main()
