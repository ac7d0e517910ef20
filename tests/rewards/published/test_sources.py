"""Where published checkpoints come from: a hub's cache or a path, converted once; and what is said when they are missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

import noisekit.rewards as rewards
from noisekit.errors import BadValue, CorruptWeights, NotSupported
from noisekit.metrics.reward import info_of
from noisekit.registry import REWARDS
from noisekit.rewards import load_reward, published
from noisekit.rewards.cards import checkpoints, variants
from noisekit.rewards.published import sources
from tests.rewards.published import layouts
from tests.rewards.published.conftest import Hub

PROMPTS = ["a red circle", "two blue square"]

pytestmark = pytest.mark.filterwarnings("ignore:a reward reads only")


def pictures(side: int = 16) -> torch.Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))


def filled(hub: Hub, name: str, tmp_path: Path) -> dict[str, Path]:
    checkpoint = variants()[name].checkpoint
    files = layouts.files(checkpoint.name, tmp_path / f"files of {checkpoint.name}")
    hub.fill(checkpoint, files)
    return files


def test_every_reward_with_a_checkpoint_is_found_in_the_hubs_cache(hub: Hub, tmp_path: Path) -> None:
    for name in variants():
        filled(hub, name, tmp_path)
    versions = {}
    for name, variant in variants().items():
        reward = load_reward(name, "published")
        scores = reward(pictures(), PROMPTS)
        low, high = reward.bounds
        assert ((low <= scores) & (scores <= high)).all() and reward.name == name
        assert reward is load_reward(name, weights="published", device="cpu")
        info = info_of(reward)
        assert info.name == name and info.weights == "published" and " of " not in info.family
        assert variant.version in info.version
        versions[name] = info.version
    assert versions["hps"] == "v2.1, cos" and versions["hps_v2.0"] == "v2.0, cos"
    assert versions["clip_score_photo"] == (
        "OpenAI ViT-B/32, 2.5 max(cos, 0), texts begin with 'A photo depicts '"
    )
    assert versions["mps_0.3"] == "overall, threshold 0.3"
    assert versions["mps_semantic"] == "semantic alignment, threshold 0.01"
    assert len({json.dumps(load_reward(name, "published").identity) for name in variants()}) == len(
        variants()
    )
    made = {path.name.rpartition("-")[0] for path in (hub.made / "rewards").iterdir()}
    assert made == {variant.checkpoint.name for variant in variants().values()} | {
        ""
    }  # one each, and "downloads"


def test_the_conventions_of_clip_score_are_one_cosine(hub: Hub, tmp_path: Path) -> None:
    filled(hub, "clip_score", tmp_path)
    percent, raw, hessel = (
        load_reward(name, "published")(pictures(), PROMPTS)
        for name in ("clip_score", "clip_score_raw", "clip_score_hessel")
    )
    torch.testing.assert_close(percent, 100 * raw)
    torch.testing.assert_close(hessel, 2.5 * raw.clamp(min=0))
    photo = load_reward("clip_score_photo", "published")
    texts = [f"A photo depicts {prompt}" for prompt in PROMPTS]
    torch.testing.assert_close(
        photo(pictures(), PROMPTS), load_reward("clip_score_hessel", "published")(pictures(), texts)
    )
    assert (photo(pictures(), PROMPTS) != hessel).any()


def test_the_registry_and_the_cards_agree() -> None:
    classes = {name: place for name, place in REWARDS.items() if not name.startswith("color_")}
    assert set(variants()) == set(classes)
    for checkpoint in checkpoints().values():
        assert 0.5 < checkpoint.gigabytes < 5 and checkpoint.licence
        assert all(
            source.repo.count("/") == 1 or source.github.count("/") == 1 for source in checkpoint.sources
        )


def test_the_architectures_are_as_large_as_what_is_downloaded() -> None:
    """Parameters in the precision of the file: HPSv2's is half, the others' single."""
    from open_clip import get_model_config
    from open_clip.model import CLIP

    from noisekit.rewards.image_reward import ImageRewardNetwork
    from noisekit.rewards.mps import MPSNetwork

    cards = checkpoints()
    with torch.device("meta"):
        networks = {
            "hps_v2.1": (CLIP(**cards["hps_v2.1"].architecture["model"]), 2),
            "image_reward": (ImageRewardNetwork(**cards["image_reward"].architecture["network"]), 4),
            "mps": (MPSNetwork(**cards["mps"].architecture), 4),
        }
    for name, (network, size) in networks.items():
        numbers = sum(parameter.numel() for parameter in network.parameters())
        assert numbers * size / 1e9 == pytest.approx(cards[name].gigabytes, rel=0.03), name
    assert cards["hps_v2.1"].architecture["model"] == get_model_config("ViT-H-14")
    assert cards["hps_v2.0"].architecture == cards["hps_v2.1"].architecture


def test_of_two_that_convert_at_once_the_slower_takes_the_others(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import noisekit.rewards.published.aesthetic as converter

    filled(hub, "aesthetic", tmp_path)
    convert, done = converter.convert, []

    def slow(*arguments: object) -> None:
        convert(*arguments)  # type: ignore[arg-type]
        if not done:
            done.append(True)
            published.published("aesthetic")  # as another process does meanwhile

    monkeypatch.setattr(converter, "convert", slow)
    folder = published.published("aesthetic")
    assert load_reward("aesthetic", "published").folder == folder
    assert not list(folder.parent.glob(".*"))


def test_what_is_not_here_says_what_fetches_it_and_how_large_it_is(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(
        CorruptWeights, match=r"'hps' .*HPS_v2.1_compressed.pt.*`noisekit rewards fetch hps`.*2 GB"
    ):
        load_reward("hps", "published")
    files = filled(hub, "pick_score", tmp_path)
    link = next(hub.folder.glob("models--laion*/snapshots/*/tokenizer.json"))
    link.unlink()
    with pytest.raises(CorruptWeights, match=r"'tokenizer.json' of laion/.*rewards fetch pick_score"):
        load_reward("pick_score", "published")
    with pytest.raises(CorruptWeights, match=r"'tokenizer.json' of .*HF_HUB_OFFLINE is set.*give its path"):
        published.fetch("pick_score")
    hub.put("laion/CLIP-ViT-H-14-laion2B-s32B-b79K", files["tokenizer.json"], "tokenizer.json")
    assert published.fetch("pick_score").is_dir()
    assert not list(hub.made.glob("rewards/.*"))


def test_a_checkpoint_is_converted_once_and_known_by_its_source(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = filled(hub, "image_reward", tmp_path)
    folder = published.published("image_reward")
    with monkeypatch.context() as patch:
        patch.setattr(published, "write", lambda *_: pytest.fail("it was converted again"))
        assert published.published("image_reward") == folder
        assert published.from_file("image_reward", files["ImageReward.pt"]) == folder
    identity = load_reward("image_reward", "published").identity
    elsewhere = shutil.copytree(folder, tmp_path / "elsewhere")
    (elsewhere / "notes.json").write_text("{}")
    assert rewards.load_reward("image_reward", str(elsewhere)).identity["weights"] == identity["weights"]

    state = torch.load(files["ImageReward.pt"], weights_only=True)
    state["mlp.layers.7.bias"] += 1
    torch.save(state, files["ImageReward.pt"])
    filled_again = variants()["image_reward"].checkpoint
    hub.fill(filled_again, files)
    assert published.published("image_reward") != folder
    rewards.release()
    other = load_reward("image_reward", "published")
    assert other.identity["weights"] != identity["weights"]
    before = load_reward("image_reward", str(elsewhere))(pictures(), PROMPTS)
    torch.testing.assert_close(other(pictures(), PROMPTS), before + 1 / 1.5)


def test_a_link_whose_aim_is_gone_is_made_again(hub: Hub, tmp_path: Path) -> None:
    files = filled(hub, "clip_score", tmp_path)
    folder = published.published("clip_score")
    link = folder / "model.safetensors"
    assert link.is_symlink()
    link.unlink()
    link.symlink_to(tmp_path / "nowhere")
    assert published.published("clip_score") == folder and link.exists()
    assert sources.digest(link) == sources.sha256(files["model.safetensors"])


def test_a_file_of_other_contents_is_not_taken_for_the_published_one(hub: Hub, tmp_path: Path) -> None:
    from dataclasses import replace

    filled(hub, "hps", tmp_path)
    card = variants()["hps"].checkpoint
    right = replace(card.sources[0], md5="4067542e34ba2553a738c5ac6c1d75c0")
    hps = replace(variants()["hps"], checkpoint=replace(card, sources=(right,)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(variants(), "hps", hps)  # type: ignore[arg-type]
        for load in (published.published, published.fetch):
            with pytest.raises(CorruptWeights, match="does not have the published md5, 4067542e"):
                load("hps")
    with pytest.MonkeyPatch.context() as patch:
        blob = next(hub.folder.glob("models--xswu*/blobs/*"))
        blob.write_bytes(blob.read_bytes() + b"more")
        with pytest.raises(CorruptWeights, match="does not have the hash under which"):
            published.fetch("hps")


@pytest.mark.parametrize("name", ["hps", "mps", "aesthetic", "clip_score"])
def test_weights_may_be_a_path(name: str, hub: Hub, tmp_path: Path) -> None:
    """A file, the folder made of it, or a folder of such folders; what it needs besides lies beside it."""
    checkpoint = variants()[name].checkpoint
    files = layouts.files(checkpoint.name, tmp_path / "files")
    file = files[checkpoint.main]
    scores = load_reward(name, str(file))(pictures(), PROMPTS)
    published.convert(name, file, tmp_path / "all" / name)
    assert not [path for path in (tmp_path / "all" / name).iterdir() if path.is_symlink()]
    for path in (tmp_path / "all" / name, tmp_path / "all"):
        reward = load_reward(name, str(path))
        torch.testing.assert_close(reward(pictures(), PROMPTS), scores)
        assert reward.weights == path.name
        assert reward.version == type(reward).version or name == "mps"  # what file this is, nobody knows
    with pytest.raises(BadValue, match="is there already"):
        published.convert(name, file, tmp_path / "all" / name)
    with pytest.raises(BadValue, match="nowhere' is no file"):
        published.convert(name, tmp_path / "nowhere", tmp_path / "new")


def test_paths_that_lead_nowhere_are_named(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(BadValue, match=r"'nowhere\.pt' of reward 'hps' is neither 'tiny' nor 'published'"):
        load_reward("hps", "nowhere.pt")
    with pytest.raises(BadValue, match=r"holds no checkpoint of reward 'hps', nor a folder 'hps' that does"):
        load_reward("hps", str(tmp_path))
    with pytest.raises(NotSupported, match="'clip_score_h14' has no tiny weights; use 'clip_score'"):
        load_reward("clip_score_h14")


def test_a_cache_that_cannot_be_written_is_named(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(hub, "clip_score", tmp_path)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NOISEKIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(BadValue, match=r"cannot be written.*set NOISEKIT_CACHE"):
        load_reward("clip_score", "published")


def test_a_full_disk_leaves_nothing_behind(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(hub, "hps", tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("noisekit.rewards.published.writing.save_file", full)
    with pytest.raises(
        BadValue, match=r"cannot be written: No space left on device; nothing of it is left.*NOISEKIT_CACHE"
    ):
        load_reward("hps", "published")
    assert not list((hub.made / "rewards").iterdir())


def test_released_rewards_are_loaded_anew() -> None:
    first = load_reward("color_red")
    assert load_reward("color_red") is first
    rewards.release()
    assert load_reward("color_red") is not first


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["hps", "pick_score", "image_reward", "mps", "aesthetic", "clip_score"])
def test_half_precision_is_close_and_another_metric(name: str, dtype: str) -> None:
    full, half = load_reward(name), load_reward(name, dtype=dtype)  # type: ignore[arg-type]
    images = torch.rand(3, 3, 40, 40, generator=torch.Generator().manual_seed(1)).requires_grad_()
    prompts = ["a red circle", "two blue squares", "three green triangles"]
    exact, rough = full(images, prompts), half(images, prompts)
    assert rough.dtype == torch.float32
    spread = {"hps": 0.05, "clip_score": 5, "pick_score": 2, "mps": 2, "aesthetic": 0.05, "image_reward": 0.2}
    assert 0 < (exact - rough).abs().max() < spread[name]
    assert (rough * 4096 % 1 != 0).any()  # the last product is not in half precision
    (gradient,) = torch.autograd.grad(rough.sum(), images)
    assert gradient.dtype == torch.float32 and gradient.abs().max() > 0
    assert half.bounds == full.bounds  # logit_scale is not rounded
    assert half.identity == full.identity | {"dtype": dtype}
    assert info_of(half).version == f"{full.version}, {dtype}"
    assert "dtype" not in full.identity
    with pytest.raises(BadValue, match="dtype='int8'"):
        load_reward(name, dtype="int8")  # type: ignore[arg-type]
