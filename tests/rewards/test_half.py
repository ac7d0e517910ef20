"""Rewards in half precision: how far scores and gradients are from fp32's, and that a small weight loses no gradient."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from noisekit.cost import Meter
from noisekit.rewards import load_reward, weighted_reward
from noisekit.world import draw, sample_scene

NAMES = ["hps", "pick_score", "image_reward", "mps", "clip_score", "aesthetic"]
#: The largest difference to fp32's score, in standard deviations of scores over images, and the least cosine.
BOUNDS = {"float16": (0.005, 0.999), "bfloat16": (0.05, 0.99)}


@pytest.fixture(scope="module")
def pictures():
    """Scenes of the tiny world, each beside its caption and beside another one's."""
    rng = np.random.default_rng(0)
    scenes = [sample_scene(rng) for _ in range(6)]
    images = torch.stack([torch.from_numpy(draw([scene], rng)[0]).float() for scene in scenes])
    captions = [scene.caption for scene in scenes]
    return images.repeat(2, 1, 1, 1), captions + captions[1:] + captions[:1]


def scored(reward, images, prompts, weight=1.0):
    leaf = images.clone().requires_grad_()
    scores = reward(leaf, prompts)
    (gradient,) = torch.autograd.grad((weight * scores).sum(), leaf)
    return scores.detach(), gradient.flatten(1).double() / weight


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("name", NAMES)
def test_scores_and_gradients_are_near_those_of_fp32(name, dtype, pictures):
    most, least = BOUNDS[dtype]
    whole, half = load_reward(name), load_reward(name, dtype=dtype)
    (scores, gradients), (rounded, rough) = scored(whole, *pictures), scored(half, *pictures)
    assert rounded.dtype == torch.float32
    assert (rounded - scores).abs().max() <= most * scores.std()
    assert F.cosine_similarity(gradients, rough).min() >= least
    assert whole.identity | {"dtype": dtype} == half.identity


@pytest.mark.parametrize("weight", [1e-9, 1e-4, 1e4])
def test_a_weight_of_any_size_leaves_the_gradient_in_float16(weight, pictures):
    gradients = [scored(load_reward("hps", dtype=d), *pictures, weight)[1] for d in ("float32", "float16")]
    assert F.cosine_similarity(*gradients).min() >= 0.999
    assert (gradients[1].norm() / gradients[0].norm()).item() == pytest.approx(1, abs=0.01)


def test_a_weighted_sum_in_float16_counts_what_one_in_fp32_counts(pictures):
    images, prompts = pictures
    counts = []
    for dtype in ("float32", "float16"):
        total = weighted_reward("hps:5 + aesthetic:0.1", weights="tiny", device="cpu", dtype=dtype)
        with Meter(len(images), images.device) as meter:
            scored(total, images, prompts)
        counts.append((meter.cost.reward, meter.cost.reward_backward))
    assert counts[0] == counts[1] == (2, 2)
