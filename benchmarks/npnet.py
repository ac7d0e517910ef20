"""The bundled NPNet and its ablations: collect pairs on the tiny world, train every variant on them, print the table.

    python benchmarks/npnet.py [--prompts 4000] [--seeds 1] [--out build/npnet]

Everything goes on where it was. The same by hand, for one variant:

    noisekit npnet collect --strong 5.5 --out build/npnet/pairs
    noisekit npnet train build/npnet/pairs --lr 0.001 --epochs 15 --no-svd --out build/npnet/no-svd

All variants share one recipe, the tiny network's: at the published rate of 1e-4 it would learn little in so few steps.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

import noisekit as nk
from noisekit.npnet.collect import Recipe, collect
from noisekit.npnet.pairs import Collection
from noisekit.npnet.train import Training, train
from noisekit.world.suite import training_captions

RECIPE = Recipe(guidance=5.5)
FULL = Training(epochs=15, lr=1e-3)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--prompts", type=int, default=4000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("build/npnet"))
    options = parser.parse_args()
    model, captions = nk.load_model("tiny"), training_captions()[: options.prompts]
    pairs = collect(
        model,
        captions,
        range(options.seeds),
        options.out / "pairs",
        recipe=RECIPE,
        metrics=[nk.load_reward("hps")],
        progress=True,
    )
    print("| variant | pairs | validation | identity | shift | minutes |\n|---|---|---|---|---|---|")
    for name, training in variants(pairs).items():
        card = train(pairs, model, options.out / name, training=training, progress=True)
        losses = card["losses"]
        figures = [losses["epochs"][-1]["validation"], losses["identity"], losses["shift"]]
        shown = " | ".join(f"{figure:.5f}" for figure in figures)
        print(f"| {name} | {card['pairs']['kept']} | {shown} | {card['minutes']} |", flush=True)


def variants(pairs: Collection) -> dict[str, Training]:
    """The full network, without each of its parts, and with margins that keep the half and the quarter that gain most."""
    scores = [line["scores"]["hps"] for shard in pairs.shards() for line in shard.lines]
    gains = np.array([score["target"] - score["source"] for score in scores])
    median, quartile = np.quantile(gains[gains > 0], [0.5, 0.75])
    return {
        "full": FULL,
        "no-svd": replace(FULL, svd=False),
        "no-residual": replace(FULL, residual=False),
        "no-text": replace(FULL, text=False),
        "no-filter": replace(FULL, metric=None),
        "top-half": replace(FULL, margin=round(float(median), 4)),
        "top-quarter": replace(FULL, margin=round(float(quartile), 4)),
    }


if __name__ == "__main__":
    main()
