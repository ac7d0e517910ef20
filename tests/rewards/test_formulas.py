"""clip_score, pick_score and hps against their formulas, on token ids written by hand; and the colour criterion."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from noisekit.errors import BadValue
from noisekit.rewards import load_reward, parse_coefficients
from noisekit.rewards.clip_score import CLIPScore
from noisekit.rewards.hps import HPS
from noisekit.rewards.pick_score import PickScore

MEAN, STD = torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1), torch.tensor([0.2, 0.3, 0.25]).view(3, 1, 1)
PROMPTS = ["a red circle", "a blue square"]


def images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("cls", [CLIPScore, PickScore])
def test_clip_rewards_are_scaled_cosines(
    cls: type[CLIPScore | PickScore], clip_folder: Path, pick_folder: Path
) -> None:
    reward = cls.from_folder(clip_folder if cls is CLIPScore else pick_folder)
    pictures = images(2, 3, 16, 16)
    ids = torch.tensor([[2, 4, 5, 8, 3], [2, 4, 7, 9, 3]])
    with torch.no_grad():
        output = reward.towers.network(input_ids=ids, pixel_values=(pictures - MEAN) / STD)
    cosine = F.cosine_similarity(output.image_embeds, output.text_embeds)
    expected = 100 * cosine if cls is CLIPScore else output.logits_per_image.diag()
    torch.testing.assert_close(reward(pictures, PROMPTS), expected)
    if cls is PickScore:
        torch.testing.assert_close(expected, cosine * reward.bounds[1])


def test_the_embedding_is_the_one_that_is_judged(clip_folder: Path) -> None:
    clip = CLIPScore.from_folder(clip_folder)
    pictures = images(2, 3, 20, 24)
    embeddings = clip.embed(pictures)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(2))
    judged = 100 * (embeddings * clip.towers.text(PROMPTS)[0]).sum(1)
    torch.testing.assert_close(judged, clip.judge(pictures, PROMPTS), rtol=1e-4, atol=1e-4)


def test_hps_is_the_cosine_at_the_end_of_text(hps_folder: Path) -> None:
    """<eos> has id 15 there. The feature is gathered by hand, and what follows <eos> does not matter."""
    hps = HPS.from_folder(hps_folder)
    pictures = images(2, 3, 16, 16)
    network = hps.network
    expected = []
    for picture, words in zip(pictures, ([2, 3, 4, 7, 15], [2, 3, 6, 8, 15])):
        ids = torch.tensor([words + [1] * 7])
        with torch.no_grad():
            tokens = network.token_embedding(ids) + network.positional_embedding
            tokens = network.ln_final(network.transformer(tokens, attn_mask=network.attn_mask))
            caption = tokens[0, len(words) - 1] @ network.text_projection
            image = network.visual(((picture - MEAN) / STD)[None])[0]
        expected.append(caption @ image / caption.norm() / image.norm())
    torch.testing.assert_close(hps(pictures, PROMPTS), torch.stack(expected))


@pytest.mark.parametrize(("name", "channel"), [("color_red", 0), ("color_green", 1), ("color_blue", 2)])
def test_colour_is_a_channel_minus_the_others_over_the_pixels(name: str, channel: int) -> None:
    reward = load_reward(name)
    pictures = images(2, 3, 5, 7)
    others = [other for other in range(3) if other != channel]
    for picture, score in zip(pictures, reward(pictures, PROMPTS)):
        total = sum(
            picture[channel, y, x] - picture[others[0], y, x] - picture[others[1], y, x]
            for y in range(5)
            for x in range(7)
        )
        torch.testing.assert_close(score, total / 35)
    pure, rest = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    pure[:, channel], rest[:, channel] = 1, 0
    assert (reward(rest, ["a"]).item(), reward(pure, ["a"]).item()) == reward.bounds


def test_colour_needs_no_weights_and_is_known_by_its_name() -> None:
    red = load_reward("color_red")
    assert load_reward("color_red", weights="published") is red
    assert red.identity == {"reward": "color_red", "version": red.version}
    assert (red.weights, red.family, red.reads_prompt) == ("none", "none", False)
    assert parse_coefficients("color_red:1 + clip_score:0.1") == {"color_red": 1.0, "clip_score": 0.1}
    with pytest.raises(BadValue, match="color_"):
        load_reward("color")
