"""What batching and caching are worth, and what NPNet costs: each a ratio of two timings made side by side in one run.

    python benchmarks/speed.py

prints the table of benchmarks/README.md as Markdown. Each pair is timed alternately, several times, and the medians are
divided, so that a machine that slows down slows both.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable

import torch

import noisekit as nk
from noisekit.models.stable_diffusion import StableDiffusion
from noisekit.rewards.clip_score import CLIPScore

REPEATS = 7
PROMPTS = [
    "a red circle",
    "two blue squares",
    "a green triangle and a cyan circle",
    "a red square above a blue circle",
]


def main() -> None:
    torch.set_num_threads(1)
    model, turbo = nk.load_model("tiny"), nk.load_model("tiny-turbo")
    standard, npnet = nk.load_method("standard"), nk.load_method("npnet")
    sixteen = PROMPTS * 4
    images = standard(turbo, sixteen).images
    reward = nk.load_reward("clip_score")
    assert isinstance(model, StableDiffusion)
    assert isinstance(reward, CLIPScore)
    rows = [
        (
            "16 images sampled together, against one by one",
            lambda: standard(model, sixteen),
            lambda: [standard(model, [text]) for text in sixteen],
        ),
        (
            "selection's 16 candidates in one pass, against one by one",
            lambda: candidates(model, 16),
            lambda: candidates(model, 1),
        ),
        (
            "reward of 16 images with text features kept, against encoding them anew",
            lambda: reward(images, sixteen),
            lambda: fresh(lambda: reward(images, sixteen), reward.towers.text),
        ),
        (
            "turbo image of a known prompt, against encoding the prompt anew",
            lambda: standard(turbo, PROMPTS[:1]),
            lambda: fresh(lambda: standard(turbo, PROMPTS[:1]), turbo),
        ),
        (
            "16 standard images, against 16 with NPNet's noise",
            lambda: standard(model, sixteen),
            lambda: npnet(model, sixteen),
        ),
        (
            "one standard image, against one with NPNet's noise",
            lambda: standard(model, PROMPTS[:1]),
            lambda: npnet(model, PROMPTS[:1]),
        ),
    ]
    print(
        f"{platform.processor() or platform.machine()}, 1 of {os.cpu_count()} cores, torch {torch.__version__}\n"
    )
    print("| what | seconds | against | ratio |\n| --- | --- | --- | --- |")
    for title, quick, slow in rows:
        a, b = side_by_side(quick, slow)
        print(f"| {title} | {a:.4f} | {b:.4f} | {b / a:.2f}× |", flush=True)


def candidates(model: StableDiffusion, together: int) -> None:
    """Rank 16 candidates of one prompt, so many at a time."""
    card = model.card
    model.card = card.with_settings(batch=together)
    nk.load_method("selection(candidates=16)")(model, PROMPTS[:1])
    model.card = card


def fresh(call: Callable[[], object], holder: object) -> None:
    """Call with an empty cache."""
    for name in ("_encoded", "_kept", "_features"):
        if hasattr(holder, name):
            getattr(holder, name).clear()
            call()
            return
    raise AttributeError(f"{type(holder).__name__} has no cache that this benchmark knows")


def side_by_side(quick: Callable[[], object], slow: Callable[[], object]) -> tuple[float, float]:
    """Median seconds of two calls, timed in turn after a warm-up of both."""
    quick(), slow()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(REPEATS):
        for call, kept in zip((quick, slow), times, strict=True):
            start = time.perf_counter()
            call()
            kept.append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])


if __name__ == "__main__":
    main()
