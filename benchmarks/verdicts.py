"""The runs behind `noisekit papers claims`: noisekit/papers/claims.yaml says what they are asked, and was written first.

    python -m benchmarks.verdicts              # the plans of benchmarks/plans/verdicts, at 50, 100 and 200 prompts in turn
    python -m benchmarks.verdicts npnet        # one of them: golden, reno, stability, npnet
    python -m benchmarks.verdicts --tell       # write what the runs say: noisekit/papers/claims.json

What a plan needs is made first, in build/verdicts: placebos of golden seeds; pairs at the sampling guidance, ten networks.
Images come to lie in runs/verdicts. The same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml

import noisekit as nk
from noisekit.comparison import run_plan
from noisekit.golden_seeds.ranking import SeedRanking
from noisekit.npnet.collect import Recipe, collect
from noisekit.npnet.pairs import Collection
from noisekit.npnet.train import Training, train
from noisekit.papers.claims import answers, write_answers
from noisekit.plan import load_plan
from noisekit.results import Run
from noisekit.world.suite import training_captions

PLANS = Path(__file__).parent / "plans" / "verdicts"
BUILT, RUNS = Path("build", "verdicts"), Path("runs", "verdicts")
TOLD = Path(__file__).parents[1] / "noisekit" / "papers" / "claims.json"
#: Sizes in turn, so that what is not finished is a smaller run of all arms and no half of one.
LIMITS = (50, 100, 200)
CAPTIONS, SEEDS, PLACEBOS = 2000, 5, 8
TRAINING = Training(epochs=15, lr=1e-3)


def placebos() -> None:
    """Rankings of the same seeds in random order."""
    golden = SeedRanking.read("golden_seeds/tiny-turbo")
    for i in range(PLACEBOS):
        order = np.random.default_rng(i).permutation(len(golden.seeds))
        drawn = tuple(golden.seeds[k] for k in order)
        scores = tuple(golden.scores[k] for k in order)
        folder = BUILT / f"placebo-{i}"
        folder.mkdir(parents=True, exist_ok=True)
        replace(golden, seeds=drawn, scores=scores).write(folder)


def networks() -> None:
    """Pairs, and networks on those that the filter keeps and on as many random ones, each once."""
    model = nk.load_model("tiny")
    recipe, judges = Recipe(guidance=model.card.guidance), [nk.load_reward("hps")]
    pairs = collect(
        model, training_captions()[:CAPTIONS], [0], BUILT / "pairs", recipe=recipe, metrics=judges
    )
    for seed in range(SEEDS):
        own = replace(TRAINING, seed=seed)
        kept = train(pairs, model, BUILT / f"npnet-{seed}", training=own)["pairs"]["kept"]
        some = at_random(pairs, kept, BUILT / f"pairs-{seed}", seed)
        train(some, model, BUILT / f"random-{seed}", training=replace(own, metric=None))


def at_random(pairs: Collection, n: int, folder: Path, seed: int) -> Collection:
    """A collection of n pairs of another, drawn at random."""
    part = Collection.prepare(folder, pairs.about)
    if len(part) == n:
        return part
    shards = pairs.shards()
    lines = [line for shard in shards for line in shard.lines]
    whole = [shard.tensors() for shard in shards]
    tensors = {name: torch.cat([own[name] for own in whole]) for name in whole[0]}
    chosen = np.sort(np.random.default_rng(seed).permutation(len(lines))[:n])
    part.add([lines[i] for i in chosen], {name: tensor[chosen] for name, tensor in tensors.items()})
    return part


#: What each plan needs beforehand; the cheapest plan first.
NEEDS: Mapping[str, Callable[[], None]] = {
    "golden": placebos,
    "reno": lambda: None,
    "stability": lambda: None,
    "npnet": networks,
}


def run(names: Sequence[str]) -> None:
    """Some plans at every size."""
    for name in names:
        NEEDS[name]()
    for limit in LIMITS:
        for name in names:
            given = yaml.safe_load((PLANS / f"{name}.yaml").read_text(encoding="utf-8"))
            plan = load_plan(given | {"prompts": {"suite": "tiny", "limit": limit}})
            done = run_plan(plan, store=RUNS / name, progress=False)
            print(f"{name}: {limit} prompts, {len(done)} images", flush=True)


def tell() -> None:
    """Write what the runs that are there say of every claim, at the largest size that all arms of a plan reached."""
    there = {name: whole(nk.load_run(RUNS / name)) for name in NEEDS if (RUNS / name).is_dir()}
    found = answers({name: own for name, own in there.items() if len(own)})
    write_answers(found, TOLD)
    for one in found:
        print(f"{one.id}: {one.verdict}, {one.difference} [{one.low}, {one.high}], p {one.p} of {one.family}")


def whole(run: Run) -> pd.DataFrame:
    """The images of a run on the prompts that every arm has."""
    frame = run.frame()
    arms = frame.groupby("prompt")["method"].nunique()
    complete = set(arms.index[arms == frame["method"].nunique()])
    return frame[frame["prompt"].isin(complete)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("plans", nargs="*", metavar="PLAN", help=", ".join(NEEDS))
    parser.add_argument("--tell", action="store_true", help="write claims.json and run nothing")
    given = parser.parse_args()
    tell() if given.tell else run(given.plans or list(NEEDS))


if __name__ == "__main__":
    main()
