"""What a hypernetwork's Δ owes to its prompt and to its noise: Δ beside controls that lack the one or the other.

    python benchmarks/hypernoise.py [--artefact hypernoise/tiny-turbo] [--model tiny-turbo] [--limit 200] [--seeds 2]

    Δ                   f(ε, c), as the method hypernoise adds it
    another prompt's    f(ε, c′), c′ the prompt 7 places further on in the suite, usually of another kind
    another noise's     f(ε′, c), ε′ a further draw of the sample
    the mean            the mean of f over 400 prompts of `tiny_train` with a noise each, the same for all
    Δ at ε's length     ε + Δ put back to the length of ε
    −Δ                  the opposite way

Differences to the standard image of the same prompt and seed, with 95 % intervals clustered by prompt.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import torch
from torch import Tensor

import noisekit as nk
from benchmarks.effects import markdown, spread
from noisekit.evaluation.statistics import differences, interval, mean_of_prompts
from noisekit.hypernoise.artefact import find_artefact, load_predictor
from noisekit.methods.loop import FinalImage
from noisekit.noise import NoiseSource
from noisekit.registry import DEFAULT_METRICS

#: Places in the suite from a prompt to the one whose Δ it gets.
FURTHER = 7


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--artefact", default="hypernoise/tiny-turbo")
    parser.add_argument("--model", default="tiny-turbo")
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    model, texts = nk.load_model(options.model), nk.load_prompts("tiny", options.limit).texts
    network = load_predictor(find_artefact(options.artefact), model)
    prompts = [text for text in texts for _ in range(options.seeds)]
    seeds = [seed for _ in texts for seed in range(options.seeds)]
    others = [text for text in (*texts[FURTHER:], *texts[:FURTHER]) for _ in range(options.seeds)]
    source = NoiseSource(model.noise_shape, prompts, seeds, device=model.device)
    trained = nk.load_prompts("tiny_train", 400).texts
    apart = NoiseSource(model.noise_shape, trained, [0] * len(trained), device=model.device)

    def delta(noise: Tensor, words: list[str]) -> Tensor:
        parts = zip(noise.split(model.card.batch), model.encode(words).split(model.card.batch), strict=True)
        return torch.cat([network(x, c) for x, c in parts])

    x, own = source.initial, delta(source.initial, prompts)
    ways: dict[str, Callable[[], Tensor]] = {
        "standard": lambda: x,
        "Δ": lambda: x + own,
        "another prompt's": lambda: x + delta(x, others),
        "another noise's": lambda: x + delta(source.draw(1), prompts),
        "the mean": lambda: x + delta(apart.initial, list(trained)).mean(0),
        "Δ at ε's length": lambda: (x + own) * (length(x) / length(x + own)),
        "−Δ": lambda: x - own,
    }
    evaluator = nk.Evaluator(DEFAULT_METRICS, device=model.device)
    frames, rows = {}, []
    for name, noises in ways.items():
        noise = noises()
        images = FinalImage(model, replace(source, start=None))(noise)
        frames[name] = evaluator(images, prompts).assign(prompt=prompts, seed=seeds)
        rows.append([name, *cells(frames[name], frames["standard"], name), *ways_of(x, noise)])
    print(markdown(["added", *COLUMNS, "cosine", "norm"], rows))


COLUMNS = ("truth", "hps", "image_reward", "pick_score", "clip_score", "aesthetic", "mps_score")


def cells(frame: pd.DataFrame, standard: pd.DataFrame, name: str) -> list[str]:
    """The mean of every metric, and but for standard its difference with an interval."""
    if name == "standard":
        return [f"{frame[column].astype(float).mean():.3f}" for column in COLUMNS]
    found = [differences(frame, standard, column) for column in COLUMNS]
    return [spread(mean_of_prompts(d), *interval(d)) for d in found]


def ways_of(before: Tensor, after: Tensor) -> list[str]:
    """The cosine of two noises, and the length of the second over the square root of its size."""
    cosine = torch.cosine_similarity(before.flatten(1), after.flatten(1)).mean()
    return [f"{cosine:.3f}", f"{(length(after) / after[0].numel() ** 0.5).mean():.3f}"]


def length(noise: Tensor) -> Tensor:
    """(B, 1, 1, 1)"""
    return noise.flatten(1).norm(dim=1)[:, None, None, None]


if __name__ == "__main__":
    main()
