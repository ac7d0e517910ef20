"""Laws of every reward: the gradient is right, a batch equals its singles, judging agrees with climbing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from noisekit.cost import Meter
from noisekit.errors import BadValue
from noisekit.rewards import load_reward
from noisekit.rewards.aesthetic import Aesthetic
from noisekit.rewards.base import Reward
from noisekit.rewards.clip_score import CLIPScore
from noisekit.rewards.hps import HPS
from noisekit.rewards.image_reward import ImageReward
from noisekit.rewards.mps import MPS
from noisekit.rewards.pick_score import PickScore

PROMPTS = ["a red circle", "two blue squares", "a red circle"]

LOADED: dict[str, tuple[type[Reward], str]] = {
    "clip_score": (CLIPScore, "clip_folder"),
    "aesthetic": (Aesthetic, "aesthetic_folder"),
    "hps": (HPS, "hps_folder"),
    "pick_score": (PickScore, "pick_folder"),
    "image_reward": (ImageReward, "image_reward_folder"),
    "mps": (MPS, "mps_folder"),
}


def loaded(name: str, request: pytest.FixtureRequest) -> Reward:
    cls, folder = LOADED[name]
    return cls.from_folder(request.getfixturevalue(folder))


@pytest.fixture(params=LOADED)
def random_reward(request: pytest.FixtureRequest) -> Reward:
    """With random weights; a new object, whose parts may be changed."""
    return loaded(request.param, request)


#: Of the names that share a class and its weights, the first.
BUNDLED = [*LOADED, "color_red", "color_green", "color_blue"]


@pytest.fixture(params=[*LOADED, *(f"bundled {name}" for name in BUNDLED)])
def reward(request: pytest.FixtureRequest) -> Reward:
    """With random weights, or as it ships."""
    name = request.param.removeprefix("bundled ")
    return loaded(name, request) if request.param == name else load_reward(name)


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def native(reward: Reward) -> int:
    """The side of the images that the reward does not resize."""
    return getattr(reward.preprocess, "size", 16)


def in_double(reward: Any) -> Any:
    """The reward with every number of its network in double precision."""
    holder = getattr(reward, "towers", reward)
    holder.network.double()
    if holder.text is not None:
        holder.text._kept.clear()
    if isinstance(reward, Aesthetic):
        reward.head = {key: value.double() for key, value in reward.head.items()}
    if isinstance(reward, MPS):
        reward.condition = reward.condition.double()
        # Eager attention takes its softmax in single precision.
        reward.network.clip.set_attn_implementation("sdpa")
    return reward


def test_gradient_agrees_with_finite_differences_in_double_precision(random_reward: Reward) -> None:
    """Along five random directions; the image is resized on the way. Then single precision agrees with double."""
    side = native(random_reward) + 5
    pictures = 0.3 + 0.4 * images(3, 3, side, side + 3).double()
    single = pictures.float().requires_grad_()
    (found,) = torch.autograd.grad(random_reward(single, PROMPTS).sum(), single)
    exact = in_double(random_reward)

    def scores(pixels: torch.Tensor) -> torch.Tensor:
        return exact.score(exact.preprocess.tensor_pixels(pixels), PROMPTS)

    leaf = pictures.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(scores(leaf).sum(), leaf)
    assert gradient.dtype == torch.float64
    assert (gradient.flatten(1).norm(dim=1) > 0).all()
    for seed in range(5):
        direction = images(*pictures.shape, seed=seed).double() - 0.5
        slope = (scores(pictures + 1e-5 * direction) - scores(pictures - 1e-5 * direction)) / 2e-5
        torch.testing.assert_close(slope, (gradient * direction).sum((1, 2, 3)), rtol=1e-5, atol=1e-8)
    largest = gradient.abs().max().item()
    torch.testing.assert_close(found.double(), gradient, rtol=0, atol=1e-4 * largest)


def test_gradient_of_what_is_bundled_agrees_with_finite_differences(reward: Reward) -> None:
    """Along its own gradient, so that the slope stands far above the rounding of single precision."""
    side = native(reward) + 5
    pictures = 0.3 + 0.4 * images(3, 3, side, side + 3)
    leaf = pictures.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(reward(leaf, PROMPTS).sum(), leaf)
    length = gradient.flatten(1).norm(dim=1)
    assert (length > 0).all()
    direction = gradient / length.view(-1, 1, 1, 1)
    step = 2e-3
    slope = (reward(pictures + step * direction, PROMPTS) - reward(pictures - step * direction, PROMPTS)) / (
        2 * step
    )
    torch.testing.assert_close(slope, length, rtol=2e-2, atol=1e-4)


def test_a_batch_equals_its_singles_in_any_order(reward: Reward) -> None:
    pictures = images(3, 3, 20, 24)
    for look in (reward, reward.judge):
        batch = look(pictures, PROMPTS)
        singles = torch.cat([look(picture[None], [prompt]) for picture, prompt in zip(pictures, PROMPTS)])
        torch.testing.assert_close(batch, singles, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(look(pictures.flip(0), PROMPTS[::-1]), batch.flip(0), rtol=1e-4, atol=1e-4)
        assert batch.shape == (3,)
        assert batch.dtype == torch.float32


def test_judging_equals_climbing_on_8_bit_images_of_native_size(reward: Reward) -> None:
    side = native(reward)
    pictures = (images(3, 3, side, side) * 255).round() / 255
    judged, climbed = reward.judge(pictures, PROMPTS), reward(pictures, PROMPTS)
    torch.testing.assert_close(judged, climbed, rtol=1e-5, atol=reward.tie / 10)


def test_what_stands_beside_the_score(reward: Reward) -> None:
    low, high = reward.bounds
    scores = reward(images(3, 3, 20, 20), PROMPTS)
    assert ((scores >= low) & (scores <= high)).all()
    assert 0 < reward.tie < (high - low) / 100
    assert math.isfinite(reward.tie)
    assert reward.family.startswith(("CLIP ViT-", "BLIP ViT-", "none"))
    assert reward.version
    assert reward.pairwise == (reward.name == "mps")


def test_evaluations_are_counted_forward_and_backward(reward: Reward) -> None:
    pictures = images(3, 3, 16, 16).requires_grad_()
    with Meter(3) as meter:
        reward(pictures, PROMPTS).sum().backward()
    assert (meter.cost.reward, meter.cost.reward_backward) == (1, 1)


def test_half_precision_images_are_scored_in_fp32(reward: Reward) -> None:
    pictures = images(3, 3, 16, 16).half()
    with torch.autocast("cpu", torch.bfloat16):
        scores = reward(pictures, PROMPTS)
    torch.testing.assert_close(scores, reward(pictures.float(), PROMPTS))


def test_a_nan_pixel_gives_a_nan_score(reward: Reward) -> None:
    pictures = images(3, 3, 16, 16)
    pictures[1, 0, 3, 3] = float("nan")
    assert reward(pictures, PROMPTS).isnan().tolist() == [False, True, False]


def test_scores_follow_the_prompt_where_a_reward_says_so(random_reward: Reward) -> None:
    pictures = images(1, 3, 16, 16).expand(2, -1, -1, -1)
    one, other = random_reward(pictures, ["a red circle", "two blue squares of the left"]).tolist()
    assert (abs(one - other) > 1e-4) == random_reward.reads_prompt  # rounding is far below


def test_images_of_the_wrong_kind_are_refused(random_reward: Reward) -> None:
    good = images(2, 3, 16, 16)
    for bad, message in [
        (good[0], r"\(3, 16, 16\).*not \(B, 3, H, W\)"),
        ((good * 255).byte(), r"uint8"),
        (good * 2 - 1, r"not in \[0, 1\]"),
        (good[:1], r"1 images came with 2 prompts"),
    ]:
        with pytest.raises(BadValue, match=message):
            random_reward(bad, PROMPTS[:2])
    with pytest.raises(BadValue, match="single text"):
        random_reward(good, "a red circle")


def test_towers_of_one_architecture_are_a_family_but_those_that_began_alone(
    clip_folder: Path, pick_folder: Path, hps_folder: Path, mps_folder: Path
) -> None:
    folders = {CLIPScore: clip_folder, PickScore: pick_folder, HPS: hps_folder, MPS: mps_folder}
    assert {cls(path, "published", "cpu").family for cls, path in folders.items()} == {"CLIP ViT-2x24/4"}
    assert len({cls(path, "tiny", "cpu").family for cls, path in folders.items()}) == 4


@pytest.mark.gpu
def test_a_gpu_gives_the_same_scores(request: pytest.FixtureRequest) -> None:
    pictures = images(3, 3, 20, 24)
    for cls, fixture in LOADED.values():
        folder = request.getfixturevalue(fixture)
        here, there = cls.from_folder(folder), cls.from_folder(folder, device="cuda")
        for look in ("__call__", "judge"):
            scores = getattr(there, look)(pictures.cuda(), PROMPTS)
            assert scores.device.type == "cuda"
            torch.testing.assert_close(
                scores.cpu(), getattr(here, look)(pictures, PROMPTS), rtol=1e-3, atol=1e-2
            )
