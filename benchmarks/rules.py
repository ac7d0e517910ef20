"""GenEval's and T2I-CompBench's rules on what the checker of the tiny world sees, against the truth.

    python benchmarks/rules.py [--model tiny] [--seeds 2]

Every image that a model makes of the tiny suite is judged three times: by truth, and by both benchmarks' rules on the same
checker's boxes, classes and colours. What they say otherwise is theirs: GenEval allows objects beside those asked for and
reads no background, and T2I-CompBench's score of a relation exceeds ½ where both things are there and stand so.
"""

from __future__ import annotations

import argparse

import pandas as pd

import noisekit as nk
from noisekit.metrics.geneval.captions import record
from noisekit.world import parse


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--seeds", type=int, default=2)
    given = parser.parse_args()
    model, suite = nk.load_model(given.model), nk.load_prompts("tiny")
    evaluator = nk.Evaluator(["truth", "geneval", "compbench"])
    parts = []
    for seed in range(given.seeds):
        for start in range(0, len(suite), 50):
            texts = suite.texts[start : start + 50]
            images = nk.load_method("standard")(model, texts, seeds=[seed]).images
            parts.append(evaluator(images, texts).assign(prompt=texts))
    frame = pd.concat(parts, ignore_index=True)
    scenes = frame["prompt"].map(parse)
    frame["kind"] = scenes.map(lambda scene: scene.kind)
    frame["open"] = scenes.map(lambda scene: scene.background is None)
    frame["tag"] = frame["prompt"].map(lambda text: getattr(record(text), "tag", ""))
    print(
        f"{given.model}: {len(frame)} images, {int(frame['geneval'].notna().sum())} of prompts that GenEval can say"
    )
    read = frame.dropna(subset=["geneval"])
    print(f"\n{'':22}{'n':>5}{'truth':>8}{'GenEval':>9}{'agree':>8}{'only truth':>12}{'only GenEval':>14}")
    show("all", read)
    show("no background named", read[read["open"]])
    for tag, own in read[read["open"]].groupby("tag", sort=False):
        show(f"  {tag}", own)
    tasks = read[read["open"]].groupby("tag")[["truth", "geneval"]].mean().mean()
    print(f"  mean of tasks: truth {tasks['truth']:.3f}, GenEval {tasks['geneval']:.3f}")
    placed = frame.dropna(subset=["compbench"])
    right = placed["compbench"] > 0.5
    truth = placed["truth_relation"] == 1
    print(
        f"\nrelations, {len(placed)} images: truth_relation {truth.mean():.3f}, compbench over ½ {right.mean():.3f}, ",
        end="",
    )
    print(f"agreement {(right == truth).mean():.3f}; mean of compbench {placed['compbench'].mean():.3f}")


def show(name: str, own: pd.DataFrame) -> None:
    """A row: how often the two say the same, and what only one of them says."""
    truth, rules = own["truth"] == 1, own["geneval"] == 1
    figures = (
        truth.mean(),
        rules.mean(),
        (truth == rules).mean(),
        (truth & ~rules).mean(),
        (rules & ~truth).mean(),
    )
    print(
        f"{name:22}{len(own):5d}"
        + "".join(f"{value:{width}.3f}" for value, width in zip(figures, (8, 9, 8, 12, 14), strict=True))
    )


if __name__ == "__main__":
    main()
