"""Rewards by name: loaded once, summed by weight, known by their files, and what is damaged is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from noisekit.errors import BadValue, CorruptWeights, NotSupported
from noisekit.rewards import load_reward, loading, parse_coefficients, weighted_reward
from noisekit.rewards.clip_score import CLIPScore

PROMPTS = ["a red circle", "two blue squares", "a red circle"]
FOLDERS = {
    "clip_score": "clip_folder",
    "aesthetic": "aesthetic_folder",
    "hps": "hps_folder",
    "pick_score": "pick_folder",
    "image_reward": "image_reward_folder",
    "mps": "mps_folder",
}
#: The files that each folder needs beside its tokenizer's.
FILES = {
    "clip_score": ["config.json", "model.safetensors", "preprocessor_config.json"],
    "aesthetic": ["config.json", "model.safetensors", "preprocessor_config.json", "head.safetensors"],
    "hps": ["open_clip_config.json", "open_clip_model.safetensors"],
    "pick_score": ["config.json", "model.safetensors", "preprocessor_config.json"],
    "image_reward": ["config.json", "model.safetensors", "preprocessor_config.json"],
    "mps": ["config.json", "model.safetensors", "preprocessor_config.json"],
}
TEXTS = [(name, "tokenizer.json") for name in FOLDERS if name != "aesthetic"]


@pytest.fixture
def bundled(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The random checkpoints in the place of the bundled ones."""
    for name, fixture in FOLDERS.items():
        shutil.copytree(request.getfixturevalue(fixture), tmp_path / name)
    monkeypatch.setattr(loading, "BUNDLED", tmp_path)
    loading._loaded.cache_clear()
    yield tmp_path
    loading._loaded.cache_clear()


def images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def test_rewards_are_loaded_once_and_summed_by_weight(bundled: Path) -> None:
    assert load_reward("clip_score") is load_reward("clip_score", weights="tiny", device="cpu")
    pictures = images(3, 3, 16, 16)
    expression = "hps:5 + image_reward:1 + clip_score:0.01 + pick_score:0.05 + color_red:-2"
    total = weighted_reward(expression, weights="tiny", device="cpu")
    parts = [
        weight * load_reward(name)(pictures, PROMPTS)
        for name, weight in parse_coefficients(expression).items()
    ]
    assert len(parts) == 5
    torch.testing.assert_close(total(pictures, PROMPTS), sum(parts))


def test_what_cannot_be_loaded_is_said_in_a_sentence(bundled: Path) -> None:
    with pytest.raises(BadValue, match="did you mean 'clip_score'"):
        load_reward("clipscore")
    with pytest.raises(BadValue, match="neither 'tiny' nor 'published'"):
        load_reward("clip_score", weights="large")
    with pytest.raises(NotSupported, match=r"'hps_v2\.0' has no tiny weights; use 'hps'"):
        load_reward("hps_v2.0")


@pytest.mark.parametrize(
    ("name", "file"), [*((name, file) for name in FILES for file in FILES[name]), *TEXTS]
)
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_damaged_files_are_named(bundled: Path, name: str, file: str, damage: str) -> None:
    path = bundled / name / file
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CorruptWeights, match=file.partition(".")[0]) as caught:
        load_reward(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("damage", ["absent", "of another shape", "not finite"])
def test_a_damaged_tensor_is_refused(bundled: Path, name: str, damage: str) -> None:
    file = bundled / name / ("open_clip_model.safetensors" if name == "hps" else "model.safetensors")
    tensors = load_file(file)
    key = next(key for key, tensor in tensors.items() if tensor.dim() == 2)
    if damage == "absent":
        del tensors[key]
    elif damage == "of another shape":
        tensors[key] = tensors[key][:-1].contiguous()
    else:
        tensors[key][0, 0] = torch.nan
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(CorruptWeights, match=file.stem):
        load_reward(name)


@pytest.mark.parametrize(
    ("name", "key"),
    [("image_reward", key) for key in ("vision", "text", "mlp", "mean", "std", "length")]
    + [("mps", key) for key in ("clip", "cross", "condition", "threshold")]
    + [("hps", key) for key in ("model_cfg", "preprocess_cfg")],
)
def test_a_setting_that_is_absent_is_named(bundled: Path, name: str, key: str) -> None:
    file = bundled / name / ("open_clip_config.json" if name == "hps" else "config.json")
    config = json.loads(file.read_text())
    del config[key]
    file.write_text(json.dumps(config))
    with pytest.raises(CorruptWeights, match=f"lacks {key!r}"):
        load_reward(name)


def test_weights_of_another_network_are_refused(bundled: Path) -> None:
    for name in ("clip_score", "image_reward", "mps"):
        shutil.copy(bundled / "aesthetic" / "head.safetensors", bundled / name / "model.safetensors")
        with pytest.raises(CorruptWeights, match=r"model\.safetensors"):
            load_reward(name)


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


@pytest.mark.parametrize(
    ("name", "kind", "inside"),
    [
        ("mps", "CLIPModel", "clip.text_projection"),
        ("image_reward", "BlipVisionModel", "vision.post_layernorm"),
    ],
)
def test_tensors_that_transformers_has_renamed_are_found(
    name: str, kind: str, inside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if a newer transformers called a tensor otherwise than the file does, and knew of it."""
    conversion = pytest.importorskip("transformers.conversion_mapping")
    folder = shutil.copytree(loading.BUNDLED / name, tmp_path / name)
    before = load_reward(name, folder)(torch.full((1, 3, 32, 32), 0.25), ["a red circle"])
    file, (start, own) = folder / "model.safetensors", inside.split(".")
    tensors = {key.replace(inside, f"{start}.former_{own}"): value for key, value in load_file(file).items()}
    assert any("former_" in key for key in tensors)
    save_file(tensors, file, {"format": "pt"})
    loading.release()
    with pytest.raises(CorruptWeights, match="lacks"):
        load_reward(name, folder)
    known = conversion.get_checkpoint_conversion_mapping
    rename = conversion.WeightRenaming(rf"former_{own}", own)
    monkeypatch.setattr(
        conversion,
        "get_checkpoint_conversion_mapping",
        lambda asked: [rename] if asked == kind else known(asked),
    )
    after = load_reward(name, folder)(torch.full((1, 3, 32, 32), 0.25), ["a red circle"])
    assert torch.equal(before, after)
