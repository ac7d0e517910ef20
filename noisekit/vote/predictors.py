"""How well each automatic metric foretells people: how often it prefers the image that a voter preferred.

    y_i = 1 where the metric is higher for the image that vote i preferred, 0 where lower, ½ where they differ by no more
          than its tie

Votes that preferred neither say nothing and are left out. The interval is that of rates (`vote.rates`). Beside the metrics
stands "another voter": of the other people's votes on the same images and question, the share that agrees; more than
people say of each other no metric can be asked to say of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from noisekit.evaluation.categories import categories
from noisekit.evaluation.intervals import Array
from noisekit.vote.rates import Rate

ANOTHER = "another voter"
COLUMNS = ["question", "category", "metric", "votes", "prompts", "voters", "accuracy", "low", "high"]


def predictors(
    votes: pd.DataFrame,
    images: pd.DataFrame,
    metrics: Sequence[str],
    ties: Mapping[str, float],
    shared: bool = False,
) -> pd.DataFrame:
    """One row per (question, category, metric), the whole first (category ""); columns: `COLUMNS`.

    Args:
        votes: One row a vote: question, voter, prompt, seed, left and right (paths of images), answer.
        images: A run's frame: image, the metrics, and categories or kind.
        metrics: Columns of `images`.
        ties: Of each metric the largest difference that counts as none.
        shared: Whether all prompts had the same noises.
    """
    decided = votes[votes["answer"].isin(["left", "right"])].reset_index(drop=True)
    scores = images.drop_duplicates("image").set_index("image")
    right = {name: _agreement(decided, scores[name], ties.get(name, 0.0)) for name in metrics}
    right[ANOTHER] = _another(decided)
    named = categories(images.drop_duplicates("image")).set_axis(scores.index)
    of_vote = decided["left"].map(named)
    parts = {"": np.ones(len(decided), bool)}
    for name in dict.fromkeys(name for names in of_vote for name in names):
        parts[name] = of_vote.map(lambda names, name=name: name in names).to_numpy(bool)
    rows = []
    for question in dict.fromkeys(decided["question"]):
        asked = (decided["question"] == question).to_numpy()
        for category, inside in parts.items():
            for metric, values in right.items():
                there = asked & inside & ~np.isnan(values)
                if not there.any():
                    continue
                own = decided[there]
                seeds = own["seed"] if shared else None
                found = Rate.of(values[there], own["prompt"], own["voter"], seeds)
                about = (question, category, metric, found.votes, found.prompts, found.voters, found.rate)
                rows.append((*about, *found.interval()))
    return pd.DataFrame(rows, columns=COLUMNS)


def _agreement(votes: pd.DataFrame, scores: pd.Series, tie: float) -> Array:
    """y of each vote; NaN where an image has no score."""
    d = votes["left"].map(scores).to_numpy(float) - votes["right"].map(scores).to_numpy(float)
    towards = np.where(votes["answer"] == "left", d, -d)
    agrees = np.where(np.abs(d) <= tie, 0.5, (towards > 0).astype(float))
    return np.where(np.isnan(d), np.nan, agrees)


def _another(votes: pd.DataFrame) -> Array:
    """Of each vote the share of other people's on the same images and question that prefer the same; NaN without any."""
    liked = votes["left"].where(votes["answer"] == "left", votes["right"])
    unliked = votes["right"].where(votes["answer"] == "left", votes["left"])
    same = pd.DataFrame({"question": votes["question"], "liked": liked, "unliked": unliked})
    turned = same.rename(columns={"liked": "unliked", "unliked": "liked"})
    count = same.value_counts()
    agree = count.reindex(pd.MultiIndex.from_frame(same)).to_numpy(float) - 1
    differ = count.reindex(pd.MultiIndex.from_frame(turned[["question", "liked", "unliked"]]), fill_value=0)
    others = agree + differ.to_numpy(float)
    return np.divide(agree, others, out=np.full(len(votes), np.nan), where=others > 0)
