"""A vote by scripted voters who read the truth: `python benchmarks/people.py RUN`, of a run of the tiny world.

    fulfilled one, not the other    the fulfilled one, but in SLIPS of the votes the other, and in as many a tie
    both, or neither                a tie, or both bad, but in 2·SLIPS of the votes a side at random
    noise beside an image           the image

They vote through the study that `noisekit vote` serves: pairs balanced, sides at random, repeats, attention. What the votes
say is then known but for chance. Votes are written into the run, which nobody may have voted on before.
"""

from __future__ import annotations

import argparse
from random import Random

import pandas as pd

import noisekit as nk
from noisekit.report.votes import within
from noisekit.store.store import Store
from noisekit.vote.pairs import pairs
from noisekit.vote.predictors import ANOTHER
from noisekit.vote.study import NOISE, Ballot, Rules, Study

SLIPS = 0.05


def answer(ballot: Ballot, truth: dict[str, float], chance: Random) -> str:
    """What a voter says, who sees whether the prompt was fulfilled."""
    if NOISE in (ballot.left, ballot.right):
        return "right" if ballot.left == NOISE else "left"
    left, right = truth[ballot.left] > 0.5, truth[ballot.right] > 0.5
    slip = chance.random()
    if left == right:
        if slip < 2 * SLIPS:
            return chance.choice(["left", "right"])
        return "tie" if left else "both_bad"
    if slip < SLIPS:
        return "tie"
    return "left" if left == (slip >= 2 * SLIPS) else "right"


def gather(folder: str, voters: int, each: int) -> None:
    """Let the voters take turns."""
    run = nk.load_run(folder)
    if len(run.votes()):
        raise SystemExit(f"{folder} has votes already; give a copy without its folders votes and ballots")
    truth = run.frame().set_index("image")["truth"].to_dict()
    chance = Random(0)
    with Store.prepare(run.folder, run.manifest["noise"]) as store:
        study = Study(store, pairs(run.frame()), ["alignment"], Rules(0.1, 0.05, each), Random(1))
        for _turn in range(each):
            for number in range(voters):
                ballot = study.next(f"v{number}")
                if ballot is not None:
                    study.vote(ballot.ballot, f"v{number}", {"alignment": answer(ballot, truth, chance)})


def table(rows: pd.DataFrame) -> str:
    """Markdown."""
    lines = [list(rows.columns), ["---"] * len(rows.columns), *rows.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", help="folder of a run of the tiny world")
    parser.add_argument("--voters", type=int, default=12)
    parser.add_argument("--each", type=int, default=40, help="ballots of each voter")
    given = parser.parse_args()
    gather(given.run, given.voters, given.each)
    run = nk.load_run(given.run)
    votes = run.votes()
    for row in votes.rates().to_dict("records"):
        method, other = (row[name].partition("(")[0] for name in ("method", "other"))
        rate, always = (within(row["rate"], row[f"{k}low"], row[f"{k}high"]) for k in ("", "always_"))
        outcome = f"{row['wins']} won, {row['ties']} neither, {row['losses']} lost"
        print(f"{method} over {other}: {rate}, at any time {always} ({outcome}, {row['both_bad']} both bad)")
        truth = run.frame().pivot(index=["prompt", "seed"], columns="method", values="truth")
        d = truth[row["method"]] - truth[row["other"]]
        print(f"the truth itself: {0.5 + d.mean() / 2:.3f} over {len(d)} pairs")
    agreement = votes.agreement().iloc[0]
    found = (
        within(agreement[s], agreement[f"{s}_low"], agreement[f"{s}_high"]) for s in ("nominal", "ordinal")
    )
    print("alpha, nominal and ordinal:", *found)
    same = votes.self_agreement()
    print("the same again:", within(same.rate, *same.interval()), f"of {same.votes}")
    whole = votes.predictors().query("category == ''")
    optimised = frozenset().union(*(run.optimised(method) for method in run.frame()["method"].unique()))
    print()
    rows = whole.assign(
        metric=[f"{name} †" if name in optimised else name for name in whole["metric"]],
        foretells=[within(*row) for row in whole[["accuracy", "low", "high"]].to_numpy()],
    )
    order = rows["metric"].eq(ANOTHER), -rows["accuracy"]
    rows = rows.assign(last=order[0], down=order[1]).sort_values(["last", "down"])
    print(table(rows[["metric", "votes", "foretells"]]))


if __name__ == "__main__":
    main()
