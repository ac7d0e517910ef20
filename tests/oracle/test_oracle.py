"""HPSv2 and ImageReward against what their official packages gave for the same weights, pictures and prompts.

`make oracle` makes the numbers; `write.py` says how. They were made by the package versions that stand in hps.json and
image_reward.json. Pictures that are not RGB are converted first, here as there: the package of HPSv2 refuses an alpha
channel, and that of ImageReward resizes palette and alpha before it converts, which gives the numbers under "unconverted".
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from noisekit.rewards.base import Reward
from noisekit.rewards.cards import variants
from noisekit.rewards.hps import HPS
from noisekit.rewards.image_reward import ImageReward
from noisekit.rewards.published import hps as published_hps
from noisekit.rewards.published import image_reward as published_image_reward
from noisekit.rewards.text import token_ids
from tests.oracle.reading import as_the_packages_read
from tests.oracle.write import thinned

HERE = Path(__file__).parent
NAMES = ("hps", "image_reward")
TOLERANCE = 1e-5

pytestmark = pytest.mark.filterwarnings(
    "ignore:a reward reads only the first"
)  # one prompt is too long on purpose


def values(name: str) -> dict[str, Any]:
    return json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def hps(tmp_path_factory: pytest.TempPathFactory) -> HPS:
    """From a file as published, HPS_v2.1_compressed.pt."""
    folder, said = tmp_path_factory.mktemp("hps"), values("hps")
    state = load_file(HERE / "hps.safetensors")
    words = torch.zeros(said["config"]["text_cfg"]["vocab_size"], said["config"]["text_cfg"]["width"])
    words[said["rows"]] = state["token_embedding.weight"].float()
    file = folder / "HPS_v2.1_compressed.pt"
    torch.save({"epoch": 1, "state_dict": state | {"token_embedding.weight": words}}, file)
    published_hps.convert({file.name: file}, file.name, {"model": said["config"], "size": 224}, folder)
    return HPS.from_folder(folder)


@pytest.fixture(scope="module")
def image_reward(tmp_path_factory: pytest.TempPathFactory) -> ImageReward:
    """From files as published, ImageReward.pt and the vocabulary of bert-base-uncased."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("image_reward")
    torch.save(load_file(HERE / "image_reward.safetensors"), source / "ImageReward.pt")
    shutil.copy(HERE / "vocab.txt", source)
    (source / "tokenizer_config.json").write_text('{"do_lower_case": true, "model_max_length": 512}')
    said = values("image_reward")["config"]
    med, vision = said["med_config"], said["vision"]
    names = "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads max_position_embeddings"
    network = {
        "vision": {
            "hidden_size": vision["embed_dim"],
            "intermediate_size": 4 * vision["embed_dim"],
            "num_hidden_layers": vision["depth"],
            "num_attention_heads": vision["num_heads"],
            "image_size": vision["img_size"],
            "patch_size": vision["patch_size"],
            "layer_norm_eps": variants()["image_reward"].checkpoint.architecture["network"]["vision"][
                "layer_norm_eps"
            ],
        },
        "text": {name: med[name] for name in names.split()} | {"encoder_hidden_size": med["encoder_width"]},
        "mlp": [1024, 128, 64, 16, 1],
    }
    architecture = {"network": network, "mean": said["mean"], "std": said["std"], "length": 35}
    files = {file.name: file for file in source.iterdir()}
    published_image_reward.convert(files, "ImageReward.pt", architecture, folder)
    return ImageReward.from_folder(folder)


@pytest.fixture(params=NAMES)
def reward(request: pytest.FixtureRequest) -> Reward:
    return request.getfixturevalue(request.param)


def picture(name: str) -> Tensor:
    return as_the_packages_read(HERE / "pictures" / f"{name}.png")[None]


def test_prompts_are_read_as_the_package_reads_them(reward: Reward) -> None:
    said = values(reward.name)
    ids, mask = token_ids(reward.text.tokenizer, said["prompts"], reward.text.length)
    assert ids.tolist() == said["tokens"]
    if "mask" in said:
        assert mask.tolist() == said["mask"]


def test_pictures_in_files_score_as_the_package_scores_them(reward: Reward) -> None:
    """Square and not, larger, smaller and of odd sizes, in RGB, grey, palette and with an alpha channel."""
    said = values(reward.name)
    prompts = said["prompts"]
    expected = torch.tensor(list(said["scores"].values()))
    found = torch.stack(
        [reward.judge(picture(name).expand(len(prompts), -1, -1, -1), prompts) for name in said["scores"]]
    )
    torch.testing.assert_close(found, expected, atol=TOLERANCE, rtol=0)
    assert expected.std(0).min() > 0.02 and expected.std(1).min() > 0.01  # both picture and prompt speak


def test_score_and_gradient_of_one_tensor_are_the_packages(reward: Reward) -> None:
    said, gradients = values(reward.name), load_file(HERE / "gradients.safetensors")
    pixels = picture("native").expand(len(said["prompts"]), -1, -1, -1).clone().requires_grad_()
    scores = reward(pixels, said["prompts"])
    torch.testing.assert_close(scores, torch.tensor(said["native"]), atol=TOLERANCE, rtol=0)
    (gradient,) = torch.autograd.grad(scores.sum(), pixels)
    for part, found in thinned(gradient).items():
        expected = gradients[f"{reward.name}.{part}"]
        # a gradient goes through the network twice
        torch.testing.assert_close(found, expected, atol=5 * TOLERANCE * expected.abs().max().item(), rtol=0)


def test_the_score_does_not_depend_on_the_batch(reward: Reward) -> None:
    said = values(reward.name)
    prompts, names = said["prompts"], ["native", "square"]
    order = [3, 0, 6, 1, 5, 0]
    pictures = {name: picture(name) for name in names}
    for name in names:
        expected = torch.tensor(said["scores"][name])[order]
        batch = pictures[name].expand(len(order), -1, -1, -1)
        found = reward.judge(batch, [prompts[i] for i in order])
        torch.testing.assert_close(found, expected, atol=TOLERANCE, rtol=0)
        alone = torch.cat([reward.judge(pictures[name], [prompts[i]]) for i in order])
        torch.testing.assert_close(alone, expected, atol=TOLERANCE, rtol=0)


def test_the_numbers_are_of_these_pictures_and_versions() -> None:
    for name in NAMES:
        said = values(name)
        assert sorted(said["scores"]) == sorted(file.stem for file in (HERE / "pictures").glob("*.png"))
        assert said["versions"]["hpsv2"] == "1.2.0" and said["versions"]["image-reward"] == "1.5"
        pinned = (HERE / "requirements.txt").read_text().splitlines()
        for package, version in said["versions"].items():
            assert package == "python" or f"{package}=={version}" in pinned
