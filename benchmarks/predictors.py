"""What to teach a network of one size: noises that were re-denoised, noises that ReNO found, or rewards themselves.

    python -m benchmarks.predictors [--prompts 2000] [--epochs 15] [--updates 600] [--limit 200] [--out build/predictors]

The network is NPNet's for `tiny-turbo` without its branch of singular values, so that it begins as the identity, and learns

    re-denoised    x_T → x′_T of `tiny`'s own pairs that gain by hps (Zhou et al. 2024), as the bundled NPNet does
    found          x_T → what `reno(steps=3)` finds on `tiny-turbo` (a squared error again)
    rewards        what raises ReNO's rewards of the one-step image (Eyring et al. 2025), each sample's gradient clipped

on the same captions of `tiny_train`. Prompts of the suite, whose truth decides, are none of them. All of it goes on where it
was stopped; minutes are of training, pairs not counted.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import noisekit as nk
from benchmarks.effects import markdown, spread
from noisekit.hypernoise.loop import Loop
from noisekit.hypernoise.settings import RewardTraining
from noisekit.hypernoise.training import objectives
from noisekit.methods import load_method
from noisekit.methods.by_method import ByMethod
from noisekit.models.base import Conditioning
from noisekit.noise import NoiseSource
from noisekit.npnet.checkpoint import read_card, save_artefact
from noisekit.npnet.collect import Recipe, collect
from noisekit.npnet.network import NPNet, suited
from noisekit.npnet.train import Training, train
from noisekit.world.suite import training_captions

PAIRS = Training(lr=1e-3, svd=False)
REWARDS = RewardTraining(most=10.0, lr=1e-3, strength=4.0, warm_up=50, average=0.99, every=100)
#: Captions that decide which weights of the third are kept.
WATCHED = 100
METRICS = ("truth", "mps", "aesthetic")


class Added(nn.Module):
    """Δ = f(ε, c) − ε of a network f that gives a whole noise."""

    def __init__(self, network: NPNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, noise: Tensor, conditioning: Conditioning) -> Tensor:
        return self.network(noise, conditioning.positive) - noise


def by_pairs(captions: list[str], out: Path, epochs: int) -> None:
    """The first two networks."""
    tiny, turbo = nk.load_model("tiny"), nk.load_model("tiny-turbo")
    training = replace(PAIRS, epochs=epochs)
    pairs = collect(
        tiny, captions, [0], out / "pairs", recipe=Recipe(guidance=5.5), metrics=[nk.load_reward("hps")]
    )
    train(pairs, tiny, out / "re-denoised", training=training)
    found = collect(turbo, captions, [0], out / "reno", recipe=ByMethod(load_method("reno(steps=3)")))
    train(found, turbo, out / "found", training=replace(training, metric=None))


def by_rewards(captions: list[str], out: Path, updates: int) -> None:
    """The third network."""
    folder, turbo = out / "rewards", nk.load_model("tiny-turbo")
    training = replace(REWARDS, updates=updates, decay=updates // 2)
    torch.manual_seed(training.seed)
    text = turbo.encode(captions[:1]).positive.shape[1:]
    sizes = replace(suited(turbo.noise_shape, (text[0], text[1])), svd=False)
    network, (climbed, watched) = NPNet(sizes), objectives(turbo, training, "tiny")
    folder.mkdir(parents=True, exist_ok=True)
    held_out = training_captions()[-WATCHED:]
    noise = NoiseSource(turbo.noise_shape, held_out, [0] * WATCHED, device=turbo.device).initial
    loop = Loop(climbed, watched, Added(network), training, folder, f"{len(captions)} captions, {training}")
    loop.run(captions, held_out, noise, progress=False)
    loop.keep_best()
    card: dict[str, Any] = {"metric": ",".join(training.optimised), "minutes": round(loop.seconds / 60, 1)}
    save_artefact(folder, network, card | {"parameters": sum(p.numel() for p in network.parameters())})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--updates", type=int, default=600)
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("build/predictors"))
    asked = parser.parse_args()
    captions = list(training_captions()[: asked.prompts])
    by_pairs(captions, asked.out, asked.epochs)
    by_rewards(captions, asked.out, asked.updates)
    names = ("re-denoised", "found", "rewards")
    methods = {name: str(load_method(f"npnet(artefact={str(asked.out / name)!r})")) for name in names}
    run = nk.compare(
        "tiny-turbo",
        [*methods.values(), "hypernoise"],
        "tiny",
        limit=asked.limit,
        seeds=asked.seeds,
        metrics=[*METRICS, "image_reward"],
        store=asked.out / "run",
        progress=False,
    )
    print(markdown(["taught by", "parameters", "minutes", *METRICS, "equivalents"], rows(run, asked.out)))


def rows(run: nk.Run, out: Path) -> list[list[str]]:
    """The table, standard first."""
    found = []
    for row in run.summary().to_dict("records"):
        folder = next((p for p in ("re-denoised", "found", "rewards") if str(out / p) in row["method"]), None)
        card = {} if folder is None else read_card(out / folder)
        cells = [
            folder or f"`{row['method']}`",
            *(str(card.get(key, "")) for key in ("parameters", "minutes")),
        ]
        for metric in METRICS:
            ends = [row[f"{metric}_{end}"] for end in ("difference", "low", "high")]
            cells.append(f"{row[metric]:.3f}" + (f" ({spread(*ends)})" if ends[0] == ends[0] else ""))
        found.append([*cells, f"{row['equivalents']:.1f}"])
    return found


if __name__ == "__main__":
    main()
