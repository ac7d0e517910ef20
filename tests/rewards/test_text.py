"""Prompts: encoded once, forgotten when little used, padded to one length, and cut with a warning."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

from noisekit.rewards.base import Reward
from noisekit.rewards.checkpoint import load_tokenizer
from noisekit.rewards.clip_score import CLIPScore
from noisekit.rewards.hps import HPS
from noisekit.rewards.image_reward import ImageReward
from noisekit.rewards.mps import MPS
from noisekit.rewards.pick_score import PickScore
from noisekit.rewards.text import PromptCache

READERS: dict[type[Reward], str] = {
    CLIPScore: "clip_folder",
    PickScore: "pick_folder",
    HPS: "hps_folder",
    ImageReward: "image_reward_folder",
    MPS: "mps_folder",
}


@pytest.fixture(params=READERS, ids=lambda cls: cls.name)
def reader(request: pytest.FixtureRequest) -> Reward:
    return request.param.from_folder(request.getfixturevalue(READERS[request.param]))


def cache_of(reward: Reward) -> PromptCache:
    return getattr(reward, "towers", reward).text


def pictures(count: int) -> torch.Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_each_prompt_is_encoded_once(reader: Reward, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []
    cache = cache_of(reader)
    encode = cache.encode
    monkeypatch.setattr(cache, "encode", lambda ids, mask: encoded.append(len(ids)) or encode(ids, mask))
    for _ in range(2):
        reader(pictures(3), ["a red circle", "two blue squares", "a red circle"])
    assert encoded == [2]


def test_no_text_network_runs_for_a_known_prompt(
    mps_folder: Path, hps_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mps, hps = MPS.from_folder(mps_folder), HPS.from_folder(hps_folder)
    known = [reward(pictures(1), ["a red circle"]) for reward in (mps, hps)]

    def fail(*arguments: object) -> None:
        raise AssertionError("the text was read again")

    mps.network.clip.text_model.register_forward_pre_hook(fail)
    hps.network.token_embedding.register_forward_pre_hook(fail)
    assert [reward(pictures(1), ["a red circle"]) for reward in (mps, hps)] == known
    with pytest.raises(AssertionError, match="again"):
        mps(pictures(1), ["a blue circle"])


def test_the_least_recently_used_prompts_are_forgotten(
    clip_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = CLIPScore.from_folder(clip_folder)
    monkeypatch.setattr("noisekit.rewards.text.KEPT", 2 * 20 * 4 + 1)  # two prompts of 20 numbers
    for prompts in (["a", "red"], ["a", "blue"], ["a", "two", "green"]):
        assert clip(pictures(len(prompts)), prompts).shape == (len(prompts),)
    assert list(cache_of(clip)._kept) == ["two", "green"]


def test_a_prompt_is_read_the_same_beside_any_other(clip_folder: Path) -> None:
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    cache = PromptCache(load_tokenizer(clip_folder), 12, lambda *read: seen.append(read) or read)
    cache(["a red circle", "a red circle to the left of the two"])
    (ids, mask) = cache(["a red circle"])
    assert ids.tolist() == [[2, 4, 5, 8, 3, 0, 0, 0, 0, 0, 0, 0]]
    assert mask.tolist() == [[1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]]
    assert len(seen) == 1


def test_a_long_prompt_is_cut_with_one_warning(reader: Reward) -> None:
    long = "a red circle to the left of a blue square of a green square"
    with pytest.warns(UserWarning, match="first 12 of the 16 tokens") as caught:
        reader(pictures(3), [long, "a red circle", long])
    assert len([w for w in caught if "tokens" in str(w.message)]) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reader(pictures(1), [long])
