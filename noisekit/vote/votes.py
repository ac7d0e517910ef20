"""The votes on a run, and what they say: of methods, of voters, and of the metrics that stand in for people.

A vote counts once: the first answer of a voter to a question about two images. Repeats and attention pairs tell of the
voter, not of methods. `method` is of the two the one that stands later in the run, standard being the `other`, and `score`
is what the vote is worth for it: 1, 0, or ½ for a tie and where both are bad.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

import numpy as np
import pandas as pd

from noisekit.errors import BadValue
from noisekit.evaluation.intervals import Array
from noisekit.evaluation.statistics import STANDARD
from noisekit.metrics.info import MetricInfo
from noisekit.vote import rates
from noisekit.vote.agreement import Level, alpha, alpha_interval
from noisekit.vote.clusters import Shares, shares
from noisekit.vote.davidson import davidson
from noisekit.vote.predictors import predictors
from noisekit.vote.rates import Rate
from noisekit.vote.study import NOISE

#: One row a vote.
COLUMNS = [
    *("created", "voter", "question", "answer", "purpose", "model", "prompt", "seed"),
    *("method", "other", "score", "left", "right", "ballot", "of", "seconds"),
]
#: Votes as a metric of images: what an image's votes are worth on average, against those it was shown beside.
VOTES = MetricInfo(
    name="votes",
    version="mean worth of votes",
    weights="none",
    family="people",
    low=0.0,
    high=1.0,
    tie=0.0,
)
_SHOWN = ["model", "prompt", "seed", "method"]


class Votes:
    """Votes on the images of a run. Tables are made anew from `frame()`, which others can read too."""

    def __init__(
        self,
        lines: Sequence[Mapping[str, Any]],
        images: pd.DataFrame,
        ties: Mapping[str, float],
        shared: bool = False,
    ) -> None:
        """Of lines of a store, oldest first; votes on images that `images`, a run's frame, no longer has are left out.

        ties: by metric, each a column of `images`, the largest difference that counts as none. shared: whether all prompts
        had the same noises; votes on one seed are then alike, and intervals allow for it.
        """
        self._images, self._ties, self._shared = images, ties, shared
        self._all = _table(lines, images)

    @classmethod
    def _of(cls, table: pd.DataFrame, other: Votes) -> Votes:
        made = cls([], other._images, other._ties, other._shared)
        made._all = table
        return made

    def __len__(self) -> int:
        """How many votes count."""
        return len(self._counted)

    def frame(self) -> pd.DataFrame:
        """One row a vote, repeats and attention pairs included; columns: `COLUMNS`."""
        return self._all.copy()

    def without(self, *voters: str) -> Votes:
        """The votes of all others, such as without those who failed attention pairs."""
        if strangers := set(voters) - set(self._all["voter"]):
            raise BadValue(f"nobody voted under the code {min(strangers)!r}")
        return self._of(self._all[~self._all["voter"].isin(voters)].reset_index(drop=True), self)

    def methods_of_images(self) -> dict[str, str]:
        """By path of an image the method that made it."""
        return dict(zip(self._images["image"], self._images["method"], strict=True))

    def rates(self) -> pd.DataFrame:
        """One row per (model, question, method, other): how often `method` was preferred; see `vote.rates`."""
        rows = []
        for key, own in self._contests():
            found = Rate.of(own["score"].to_numpy(), own["prompt"], own["voter"], self._seeds(own))
            bad = int((own["answer"] == "both_bad").sum())
            rows.append(dict(zip(_CONTEST, key, strict=True)) | found.row() | {"both_bad": bad})
        return pd.DataFrame(rows, columns=[*_CONTEST, *rates.COLUMNS, "both_bad"])

    def strengths(self) -> pd.DataFrame:
        """One row per (model, question, method): Bradley–Terry with ties, against standard; see `vote.davidson`."""
        tables = []
        for key, own in self._counted.groupby(["model", "question"], sort=False):
            model, question = cast(tuple[str, str], key)
            there = set(own["method"]).union(own["other"])
            table = davidson(own, [m for m in self._methods if m in there], shared=self._shared)
            table.insert(0, "model", model)
            table.insert(1, "question", question)
            tables.append(table)
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()

    def agreement(self) -> pd.DataFrame:
        """One row per question: Krippendorff's α of which image was preferred, with its interval, on two scales.

        Columns: question, units (pairs with two votes or more), votes on them, nominal, nominal_low, nominal_high (four
        answers, none nearer to another), ordinal, _low, _high (loss, tie or both bad, win). See `vote.agreement`.
        """
        rows = []
        for question, own in self._counted.groupby("question", sort=False):
            row: dict[str, Any] = {"question": question}
            for level, answers, values, mirror in _SCALES:
                units = [own[name] for name in ("prompt", "seed", "left_right")]
                counts = pd.crosstab(units, answers(own).to_numpy())
                several = counts[counts.sum(axis=1) > 1].reindex(columns=values, fill_value=0)
                table, prompts = several.to_numpy(float), several.index.get_level_values(0).to_numpy()
                seeds = several.index.get_level_values(1).to_numpy() if self._shared else None
                low, high = alpha_interval(table, prompts, level, mirror, seeds)
                row |= {"units": len(several), "votes": int(table.sum()), level: alpha(table, level, mirror)}
                row |= {f"{level}_low": low, f"{level}_high": high}
            rows.append(row)
        return pd.DataFrame(rows)

    def voters(self) -> pd.DataFrame:
        """One row a voter: how far to believe him.

        Columns: voter, votes, repeats (answers given twice) and same (the share of them with the same meaning), swapped_same
        (of those with swapped sides alone), attention (attention pairs) and attentive (the share that chose the image), left
        (the share of his choices that chose the left side), ties (the share of ties and both bad), seconds (median).
        """
        rows = []
        repeats = self._repeats()
        for voter, own in self._all.groupby("voter", sort=False):
            again, watched = repeats[repeats["voter"] == voter], own[own["purpose"] == "attention"]
            votes = self._counted[self._counted["voter"] == voter]
            decided = votes[votes["answer"].isin(["left", "right"])]
            row = {"voter": voter, "votes": len(votes), "repeats": len(again), "same": again["same"].mean()}
            row |= {"swapped_same": again.loc[again["purpose"] == "swapped", "same"].mean()}
            row |= {
                "attention": len(watched),
                "attentive": _attentive(watched).mean() if len(watched) else np.nan,
            }
            row |= {"left": (decided["answer"] == "left").mean(), "ties": (votes["score"] == 0.5).mean()}
            rows.append(row | {"seconds": own.drop_duplicates("ballot")["seconds"].median()})
        return pd.DataFrame(rows)

    def self_agreement(self) -> Rate:
        """How often voters say the same of a pair again, over prompts and voters."""
        repeats = self._repeats()
        same = repeats["same"].to_numpy(float)
        return Rate.of(same, repeats["prompt"], repeats["voter"], self._seeds(repeats))

    def predictors(self) -> pd.DataFrame:
        """One row per (question, category, metric): the share of votes that it foretells; see `vote.predictors`."""
        return predictors(self._counted, self._images, list(self._ties), self._ties, self._shared)

    def of_images(self, question: str | None = None) -> pd.Series:
        """By path of the image the mean worth of its votes to one question, or to all, each counting alike: 0 … 1."""
        own = self._counted if question is None else self._counted[self._counted["question"] == question]
        left = own["answer"].map({"left": 1.0, "right": 0.0}).fillna(0.5)
        worth = pd.concat([left.set_axis(own["left"]), (1 - left).set_axis(own["right"])])
        return worth.groupby(level=0).mean().rename("votes")

    def shares(self, question: str | None = None) -> Shares:
        """What the variance of a vote is made of, within contests of two methods: for planning more votes.

        Raises `BadValue` on too few votes, and where prompts share their noises: seeds are then a part of it, too.
        """
        if self._shared:
            raise BadValue(
                "all prompts of this run have the same noises, so its votes differ by seed as well, which plans of prompts "
                "and voters leave out; plan with assumed shares, or vote on a run of noise per_prompt"
            )
        own = self._counted if question is None else self._counted[self._counted["question"] == question]
        if len(own) < 2:
            raise BadValue("there are too few votes to learn from; plan with assumed shares instead")
        y = own["score"] - own.groupby(list(_CONTEST))["score"].transform("mean")
        return shares(y.to_numpy(float), pd.factorize(own["prompt"])[0], pd.factorize(own["voter"])[0])

    def _seeds(self, votes: pd.DataFrame) -> pd.Series | None:
        """The seeds of votes where prompts share their noises, by which they are alike."""
        return votes["seed"] if self._shared else None

    @cached_property
    def _methods(self) -> list[str]:
        """In the order of the run, standard first."""
        return sorted(dict.fromkeys(self._images["method"]), key=lambda method: method != STANDARD)

    @cached_property
    def _counted(self) -> pd.DataFrame:
        """The votes on methods."""
        own = self._all[self._all["purpose"] == "pair"]
        sides = ["|".join(sorted(both)) for both in zip(own["left"], own["right"], strict=True)]
        own = own.assign(left_right=sides)
        return own.drop_duplicates(["voter", "question", "left_right"]).reset_index(drop=True)

    def _contests(self) -> Iterator[tuple[Any, pd.DataFrame]]:
        yield from self._counted.groupby(list(_CONTEST), sort=False)

    def _repeats(self) -> pd.DataFrame:
        """Answers given again, with same: whether they mean what the first one meant."""
        again = self._all[self._all["purpose"].isin(["repeat", "swapped"])]
        first = self._all.drop_duplicates(["ballot", "question"]).set_index(["ballot", "question"])["answer"]
        before = first.reindex(pd.MultiIndex.from_frame(again[["of", "question"]])).to_numpy()
        turned = {"left": "right", "right": "left"}
        meant = again["answer"].where(again["purpose"] == "repeat", again["answer"].replace(turned))
        return again.assign(same=(meant.to_numpy() == before).astype(float))[~pd.isna(before)]


_CONTEST = ("model", "question", "method", "other")


def _table(lines: Sequence[Mapping[str, Any]], images: pd.DataFrame) -> pd.DataFrame:
    """Votes by `COLUMNS`, of each ballot, voter and question the first."""
    names = ["created", "ballot", "voter", "question", "answer", "left", "right", "purpose", "of", "seconds"]
    votes = pd.DataFrame([{name: line[name] for name in names} for line in lines], columns=names)
    votes = votes.drop_duplicates(["ballot", "voter", "question"])
    shown = images.drop_duplicates("image").set_index("image")[_SHOWN]
    left, right = (shown.reindex(votes[side]).set_axis(votes.index) for side in ("left", "right"))
    here = left["model"].notna() | (votes["left"] == NOISE)
    here &= right["model"].notna() | (votes["right"] == NOISE)
    votes, left, right = votes[here], left[here], right[here]
    about = left[_SHOWN[:3]].fillna(right[_SHOWN[:3]])
    order = {method: place for place, method in enumerate(dict.fromkeys(images["method"]))}
    order[STANDARD] = -1
    later = left["method"].map(order) > right["method"].map(order)
    pair = votes["purpose"] != "attention"
    votes = votes.join(about).assign(
        method=left["method"].where(later, right["method"]).where(pair),
        other=right["method"].where(later, left["method"]).where(pair),
    )
    mine = np.where(later, "left", "right")
    decided = votes["answer"].isin(["left", "right"])
    votes["score"] = np.where(pair, np.where(decided, (votes["answer"] == mine).astype(float), 0.5), np.nan)
    votes["seed"] = votes["seed"].astype("int64")
    return votes[COLUMNS].sort_values("created", kind="stable", ignore_index=True)


def _worth(votes: pd.DataFrame) -> pd.Series:
    return votes["score"]


def _four(votes: pd.DataFrame) -> pd.Series:
    """Worth, −1 for both bad."""
    return votes["score"].where(votes["answer"] != "both_bad", -1.0)


#: Of each scale what a vote says on it, the values, and their places when the images change places.
_SCALES: tuple[tuple[Level, Callable[[pd.DataFrame], pd.Series], list[float], list[int]], ...] = (
    ("nominal", _four, [-1.0, 0.0, 0.5, 1.0], [0, 3, 2, 1]),
    ("ordinal", _worth, [0.0, 0.5, 1.0], [2, 1, 0]),
)


def _attentive(watched: pd.DataFrame) -> Array:
    """Whether the image was chosen over the noise."""
    image = np.where(watched["left"] == NOISE, "right", "left")
    return (watched["answer"].to_numpy() == image).astype(float)
