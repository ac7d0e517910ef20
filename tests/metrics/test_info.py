"""What is said of a metric: true of the reward behind it, kept in JSON, and of preferences derived from the score's own."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from noisekit.hashing import plain
from noisekit.metrics import Evaluator, MetricInfo
from noisekit.metrics.info import families, legend, preference
from noisekit.metrics.reward import info_of
from tests.engine.toys import Glow


def info(name: str, family: str = "", **given: float) -> MetricInfo:
    numbers = {"low": 0.0, "high": 1.0, "tie": 0.0} | given
    return MetricInfo(name=name, version="v", weights="", family=family, **numbers)  # type: ignore[arg-type]


@pytest.fixture
def glow(brightness: Path) -> Glow:
    return Glow.from_folder(brightness, weights="tiny")


def test_facts_are_those_of_the_reward() -> None:
    evaluator = Evaluator(["clip_score", "truth"])
    facts = {name: metric.info for name, metric in evaluator.metrics.items()}
    reward = evaluator.metrics["clip_score"].reward  # type: ignore[attr-defined]
    assert facts["clip_score"] == MetricInfo(
        name="clip_score",
        version="100 cos",
        weights="tiny",
        family=reward.family,
        low=-100.0,
        high=100.0,
        tie=reward.tie,
    )
    assert (facts["clip_score"].direction, facts["clip_score"].raw) == ("higher", "clip_score")
    truth = facts["truth"]
    assert (truth.family, truth.low, truth.high, truth.tie, truth.pairwise) == ("checker", 0, 1, 0, False)
    for metric in (*facts.values(), info("unbounded", low=-math.inf, high=math.inf)):
        assert MetricInfo.read(json.loads(json.dumps(plain(asdict(metric)), allow_nan=False))) == metric


def test_a_preference_is_the_softmax_over_the_pair() -> None:
    scores = np.array([20.0, 21.5, -100.0, np.nan])
    standard = np.array([20.0, 21.0, 100.0, 1.0])
    both = torch.tensor(np.stack([scores, standard])).softmax(0)[0]
    np.testing.assert_allclose(preference(scores, standard), both, atol=1e-12)
    assert preference(20.0, 20.0) == 0.5
    np.testing.assert_allclose(preference(standard, scores), 1 - both, atol=1e-12)


def test_a_preference_is_a_tie_exactly_where_the_scores_are(glow: Glow) -> None:
    facts = info_of(glow)
    assert (facts.name, facts.raw, facts.pairwise) == ("glow", "glow_score", True)
    assert (facts.low, facts.high) == (0, 1)
    for raw, tied in ((0.999, True), (1.001, False), (-0.999, True), (-1.001, False)):
        assert (abs(preference(raw * glow.tie, 0.0) - 0.5) <= facts.tie) is np.bool_(tied)


def test_the_column_of_a_pairwise_metric_is_its_score(brightness: Path) -> None:
    image = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    table = Evaluator(["glow", "brightness"])(image, ["a", "b"])
    assert list(table.columns) == ["glow_score", "brightness"]
    assert list(table["glow_score"]) == list(table["brightness"])


def test_only_backbones_of_several_are_families() -> None:
    metrics = [info("a", "X"), info("b", "Y"), info("c", "X"), info("d"), info("e"), info("f", "X")]
    metrics += [info("g", "none"), info("h", "none")]
    assert families(metrics) == {"X": ["a", "c", "f"]}
    lines = legend(metrics)
    assert len(lines) == 9
    assert lines[-1] == "a, c and f share the backbone X and count as one family"


def test_a_line_says_range_direction_and_tie(glow: Glow) -> None:
    assert str(info("q", "X", low=-100, high=100, tie=0.02)) == (
        "q: v, X; −100 to 100, higher is better, tie ≤ 0.02"
    )
    unknown = MetricInfo(name="q", version="", weights="", family="", low=math.nan, high=math.nan, tie=0.5)
    assert str(unknown) == "q: recorded without its definition; higher is better, tie ≤ 0.5"
    assert str(info("q", low=-math.inf, high=math.inf)) == "q: v; unbounded, higher is better, tie ≤ 0"
    assert str(info_of(glow)) == (
        "glow: mean, paired, tiny weights; preference over the standard image from glow_score; 0 to 1, higher is better, "
        "tie ≤ 0.00015"
    )
