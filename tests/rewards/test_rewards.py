"""Every reward: the gradient is right, a batch equals its singles, judging agrees with climbing, damage is named."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import noisekit.rewards as rewards
from noisekit.cost import Meter
from noisekit.errors import BadValue, CorruptWeights, NotSupported
from noisekit.rewards import load_reward, weighted_reward
from noisekit.rewards.aesthetic import Aesthetic
from noisekit.rewards.base import Reward
from noisekit.rewards.clip_score import CLIPScore

PROMPTS = ["a red circle", "two blue squares", "a red circle"]


@pytest.fixture(params=["clip_score", "aesthetic", "bundled clip_score", "bundled aesthetic"])
def reward(request: pytest.FixtureRequest) -> Reward:
    name = request.param.removeprefix("bundled ")
    if request.param != name:
        if not (rewards.BUNDLED / name).is_dir():
            pytest.skip(f"the bundled weights of {name} are not built")
        return load_reward(name)
    folder = request.getfixturevalue("clip_folder" if name == "clip_score" else "aesthetic_folder")
    return {"clip_score": CLIPScore, "aesthetic": Aesthetic}[name].from_folder(folder)


@pytest.fixture
def clip(clip_folder: Path) -> CLIPScore:
    return CLIPScore.from_folder(clip_folder)


@pytest.fixture
def bundled(
    clip_folder: Path, aesthetic_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The random checkpoints in the place of the bundled ones."""
    shutil.copytree(clip_folder, tmp_path / "clip_score")
    shutil.copytree(aesthetic_folder, tmp_path / "aesthetic")
    monkeypatch.setattr(rewards, "BUNDLED", tmp_path)
    rewards._loaded.cache_clear()
    yield tmp_path
    rewards._loaded.cache_clear()


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def eight_bit(pictures: torch.Tensor) -> torch.Tensor:
    return (pictures * 255).round() / 255


def test_gradient_agrees_with_finite_differences(reward: Reward) -> None:
    """Along its own gradient, so that the slope stands far above fp32 rounding; the image is resized on the way."""
    side = reward.preprocess.size + 5
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


def test_a_batch_equals_its_singles(reward: Reward) -> None:
    pictures = images(3, 3, 20, 24)
    for look in (reward, reward.judge):
        batch = look(pictures, PROMPTS)
        singles = torch.cat([look(picture[None], [prompt]) for picture, prompt in zip(pictures, PROMPTS)])
        torch.testing.assert_close(batch, singles, rtol=1e-5, atol=1e-5)
        assert batch.shape == (3,)
        assert batch.dtype == torch.float32


def test_judging_equals_climbing_on_8_bit_images_of_native_size(reward: Reward) -> None:
    side = reward.preprocess.size
    pictures = eight_bit(images(3, 3, side, side))
    torch.testing.assert_close(
        reward.judge(pictures, PROMPTS), reward(pictures, PROMPTS), rtol=1e-5, atol=reward.tie / 10
    )


def test_scores_lie_within_the_bounds_and_the_family_is_named(reward: Reward) -> None:
    low, high = reward.bounds
    scores = reward(images(3, 3, 20, 20), PROMPTS)
    assert ((scores >= low) & (scores <= high)).all()
    assert 0 < reward.tie < (high - low) / 100
    assert reward.family.startswith("CLIP ViT-")
    assert reward.version


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


def test_clip_score_is_a_hundred_cosines(clip: CLIPScore) -> None:
    pictures = images(2, 3, 16, 16)
    mean, std = torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1), torch.tensor([0.2, 0.3, 0.25]).view(3, 1, 1)
    ids = torch.tensor([[2, 4, 5, 8, 3], [2, 4, 7, 9, 3]])  # a red circle, a blue square
    with torch.no_grad():
        output = clip.network(input_ids=ids, pixel_values=(pictures - mean) / std)
    expected = 100 * F.cosine_similarity(output.image_embeds, output.text_embeds)
    torch.testing.assert_close(clip(pictures, ["a red circle", "a blue square"]), expected)


def test_each_prompt_is_encoded_once(clip: CLIPScore, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []
    encode = clip.text.encode
    monkeypatch.setattr(clip.text, "encode", lambda ids, mask: encoded.append(len(ids)) or encode(ids, mask))
    for _ in range(2):
        clip(images(3, 3, 16, 16), PROMPTS)
    assert encoded == [2]


def test_the_least_recently_used_prompts_are_forgotten(
    clip: CLIPScore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("noisekit.rewards.text.KEPT", 2)
    for prompts in (["a", "red"], ["a", "blue"], ["a", "two", "green"]):
        clip(images(len(prompts), 3, 16, 16), prompts)
    assert list(clip.text._kept) == ["two", "green"]


def test_a_long_prompt_is_cut_with_a_warning(clip: CLIPScore) -> None:
    long = "a red circle to the left of a blue square of a green square"
    with pytest.warns(UserWarning, match="first 12 of the 16 tokens"):
        clip(images(1, 3, 16, 16), [long])


def test_images_of_the_wrong_kind_are_refused(clip: CLIPScore) -> None:
    good = images(2, 3, 16, 16)
    for bad, message in [
        (good[0], r"\(3, 16, 16\).*not \(B, 3, H, W\)"),
        ((good * 255).byte(), r"uint8"),
        (good * 2 - 1, r"not in \[0, 1\]"),
        (good[:1], r"1 images came with 2 prompts"),
    ]:
        with pytest.raises(BadValue, match=message):
            clip(bad, PROMPTS[:2])
    with pytest.raises(BadValue, match="single text"):
        clip(good, "a red circle")


def test_rewards_are_loaded_once_and_summed_by_weight(bundled: Path) -> None:
    assert load_reward("clip_score") is load_reward("clip_score", weights="tiny", device="cpu")
    pictures = images(3, 3, 16, 16)
    total = weighted_reward("clip_score:0.01 + aesthetic:0.3", weights="tiny", device="cpu")
    parts = [load_reward(name)(pictures, PROMPTS) for name in ("clip_score", "aesthetic")]
    torch.testing.assert_close(total(pictures, PROMPTS), 0.01 * parts[0] + 0.3 * parts[1])


def test_what_cannot_be_loaded_is_said_in_a_sentence(bundled: Path) -> None:
    with pytest.raises(BadValue, match="did you mean 'clip_score'"):
        load_reward("clipscore")
    with pytest.raises(BadValue, match="neither 'tiny' nor 'published'"):
        load_reward("clip_score", weights="large")
    with pytest.raises(NotSupported, match="use weights='tiny'"):
        load_reward("clip_score", weights="published")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("clip_score", "model.safetensors"),
        ("clip_score", "config.json"),
        ("clip_score", "tokenizer.json"),
        ("clip_score", "preprocessor_config.json"),
        ("aesthetic", "model.safetensors"),
        ("aesthetic", "head.safetensors"),
    ],
)
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_damaged_files_are_named(bundled: Path, name: str, file: str, damage: str) -> None:
    path = bundled / name / file
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CorruptWeights, match=file.partition(".")[0]):
        load_reward(name)


def test_weights_of_another_network_are_refused(bundled: Path) -> None:
    shutil.copy(bundled / "aesthetic" / "head.safetensors", bundled / "clip_score" / "model.safetensors")
    with pytest.raises(CorruptWeights, match=r"model\.safetensors"):
        load_reward("clip_score")


def test_the_identity_follows_the_weights(clip_folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(clip_folder, other)
    same = CLIPScore.from_folder(other).identity
    assert same == CLIPScore.from_folder(clip_folder).identity
    changed = tmp_path / "changed"
    shutil.copytree(clip_folder, changed)
    config = (changed / "preprocessor_config.json").read_text()
    (changed / "preprocessor_config.json").write_text(config.replace("0.4", "0.45"))
    assert CLIPScore.from_folder(changed).identity != same


@pytest.mark.gpu
def test_a_gpu_gives_the_same_scores(clip_folder: Path, aesthetic_folder: Path) -> None:
    pictures = images(3, 3, 20, 24)
    for cls, folder in ((CLIPScore, clip_folder), (Aesthetic, aesthetic_folder)):
        here, there = cls.from_folder(folder), cls.from_folder(folder, device="cuda")
        for look in ("__call__", "judge"):
            scores = getattr(there, look)(pictures.cuda(), PROMPTS)
            assert scores.device.type == "cuda"
            torch.testing.assert_close(
                scores.cpu(), getattr(here, look)(pictures, PROMPTS), rtol=1e-3, atol=1e-2
            )


def test_the_embedding_is_the_one_that_is_judged(clip: CLIPScore) -> None:
    pictures = images(3, 3, 20, 24)
    embeddings = clip.embed(pictures)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(3))
    judged = 100 * (embeddings * clip.text(PROMPTS)).sum(1)
    torch.testing.assert_close(judged, clip.judge(pictures, PROMPTS), rtol=1e-5, atol=1e-5)
