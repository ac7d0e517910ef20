"""The evaluator: one row an image, whatever the batches, sizes and prompts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from noisekit.errors import BadValue
from noisekit.metrics import Evaluator
from noisekit.registry import checked_metrics
from noisekit.world import draw, parse

CAPTIONS = ["a red circle on a white background", "two blue squares", "a red circle above a blue square"]


def rendered(caption: str, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(draw([parse(caption)], np.random.default_rng(seed))[0])


def test_truth_is_told_skill_by_skill() -> None:
    images = torch.stack([rendered(caption) for caption in CAPTIONS])
    right = Evaluator(["truth"])(images, CAPTIONS)
    assert list(right.columns) == ["truth", "truth_colour", "truth_shape", "truth_count", "truth_relation"]
    assert (right[["truth", "truth_colour", "truth_shape", "truth_count"]] == 1).all(axis=None)
    assert list(right["truth_relation"].isna()) == [True, True, False]
    wrong = Evaluator(["truth"])(
        images, ["a red square", "three blue squares", "a red circle below a blue square"]
    )
    assert list(wrong["truth"]) == [0, 0, 0]
    assert list(wrong["truth_colour"]) == [1, 1, 1]
    assert list(wrong["truth_shape"]) == [0, 1, 1]
    assert list(wrong["truth_count"]) == [1, 0, 1]
    assert wrong["truth_relation"][2] == 0


def test_truth_is_nan_where_nobody_knows_it() -> None:
    scores = Evaluator(["truth"])(
        [rendered(CAPTIONS[0]), torch.rand(3, 32, 48), torch.rand(3, 20, 20)],
        ["a photograph of a cat", CAPTIONS[0], CAPTIONS[0]],
    )
    assert scores.isna().all(axis=None)


def test_scores_do_not_depend_on_batches_or_order() -> None:
    captions = CAPTIONS * 3
    images = [rendered(caption, seed) for seed, caption in enumerate(captions)]
    images[4] = images[4].repeat_interleave(2, 1).repeat_interleave(2, 2)  # 64 pixels among 32
    whole = Evaluator(["truth"])(images, captions)
    single = Evaluator(["truth"], batch=1)(images, captions)
    pd.testing.assert_frame_equal(whole, single)
    backwards = Evaluator(["truth"], batch=2)(images[::-1], captions[::-1])
    pd.testing.assert_frame_equal(whole, backwards[::-1].reset_index(drop=True))


def test_metrics_and_prompts_are_checked() -> None:
    with pytest.raises(BadValue, match="unknown metric 'truht'; did you mean 'truth'"):
        Evaluator(["truht"])
    with pytest.raises(BadValue, match="twice"):
        Evaluator(["truth", "truth"])
    with pytest.raises(BadValue, match="no metrics"):
        checked_metrics([])
    with pytest.raises(BadValue, match="1 images came with 2 prompts"):
        Evaluator(["truth"])(torch.rand(1, 3, 32, 32), CAPTIONS[:2])
