"""NPNet's files: what is saved comes back bit for bit, and what is broken or hostile gets one sentence and runs nothing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from noisekit.cli import main
from noisekit.errors import BadValue, CorruptWeights
from noisekit.npnet import checkpoint, published
from noisekit.npnet.checkpoint import find_artefact, load_network, read_card, save_artefact
from noisekit.npnet.hub import HubNPNet
from noisekit.npnet.network import NPNet
from noisekit.npnet.published import load_published
from tests.npnet.made import SMALL, inputs, published_file

CARD = {"metric": "hps", "alpha": 1.3}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small network is among the published ones."""
    monkeypatch.setattr(published, "PUBLISHED", {"small": SMALL})


@pytest.fixture
def pth(tmp_path: Path) -> Path:
    torch.save(published_file(SMALL)[0], tmp_path / "small.pth")
    return tmp_path / "small.pth"


@pytest.fixture
def folder(tmp_path: Path, pth: Path) -> Path:
    save_artefact(tmp_path / "artefact", load_published(pth), CARD)
    return tmp_path / "artefact"


def same(one: NPNet, other: NPNet) -> bool:
    noise, text = inputs(SMALL)
    tensors = one.state_dict(), other.state_dict()
    return (
        one.config == other.config
        and all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0] | tensors[1])
        and torch.equal(one(noise, text), other(noise, text))
    )


def sentence(caught: pytest.ExceptionInfo[Exception], file: Path) -> str:
    """The message, which is one line and names the file."""
    text = str(caught.value)
    assert "\n" not in text
    assert str(file) in text
    assert len(text) < 500
    return text


# --- what comes back -------------------------------------------------------------------------------------------------


def test_an_artefact_comes_back_as_it_was(pth: Path, folder: Path) -> None:
    assert same(load_network(folder), load_published(pth))
    assert load_network(folder).card == read_card(folder) == CARD
    assert not load_network(folder).training
    assert not any(tensor.requires_grad for tensor in load_network(folder).parameters())


def test_save_pretrained_writes_an_artefact_and_from_pretrained_reads_all_kinds(
    pth: Path, folder: Path, tmp_path: Path
) -> None:
    network = HubNPNet.from_pretrained(pth)
    network.save_pretrained(tmp_path / "saved")
    assert {file.name for file in (tmp_path / "saved").iterdir()} == {
        "config.json", "model.safetensors", "card.json", "README.md",
    }  # fmt: skip
    for source in (pth, folder, tmp_path / "saved"):
        assert same(HubNPNet.from_pretrained(source), network)
    assert read_card(tmp_path / "saved") == read_card(pth)
    assert read_card(pth)["metric"] == "hps"
    assert checkpoint.artefact_hash(tmp_path / "saved") == checkpoint.artefact_hash(folder)
    assert checkpoint.artefact_hash(pth) != checkpoint.artefact_hash(folder)


def test_what_is_pushed_to_a_hub_comes_from_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub is a folder here; what crosses the network is what huggingface_hub hands to it."""
    hub = tmp_path / "hub"

    def upload(_: Any, *, folder_path: Path, repo_id: str, **__: Any) -> str:
        shutil.copytree(folder_path, hub / repo_id)
        return "done"

    def create(_: Any, repo_id: str, **__: Any) -> Any:
        return type("Repository", (), {"repo_id": repo_id})

    def download(repository: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        assert set(allow_patterns) == {"config.json", "model.safetensors", "card.json"}
        return str(hub / repository)

    monkeypatch.setattr("huggingface_hub.HfApi.upload_folder", upload)
    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", create)
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    monkeypatch.chdir(tmp_path)
    checkpoint.from_hub.cache_clear()
    HubNPNet.from_pretrained(folder).push_to_hub("someone/golden")
    assert same(HubNPNet.from_pretrained("someone/golden"), load_network(folder))
    assert same(HubNPNet.from_pretrained("someone/golden", revision="main"), load_network(folder))
    assert find_artefact("someone/golden") == hub / "someone" / "golden"
    checkpoint.from_hub.cache_clear()


def test_without_a_hub_a_repository_is_refused_in_a_sentence() -> None:
    with pytest.raises(
        BadValue, match=r"'someone/absent' of npnet is no file or folder here.*go online once"
    ):
        HubNPNet.from_pretrained("someone/absent")
    with pytest.raises(BadValue, match=r"'absent' of npnet is neither a published \.pth file nor a folder"):
        HubNPNet.from_pretrained("absent")


def test_the_command_converts_a_published_file(
    pth: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "converted"
    assert main(["npnet", "convert", str(pth), str(out)]) == 0
    printed = capsys.readouterr().out
    assert "latents of 8 × 8 and prompt embeddings of 5 × 12" in printed
    assert "alpha 1.3, beta -0.8" in printed
    assert same(load_network(out), load_published(pth))
    assert main(["npnet", "convert", str(pth), str(out)]) == 2
    assert "is there already" in capsys.readouterr().err
    pth.write_bytes(b"nothing")
    assert main(["npnet", "convert", str(pth), str(tmp_path / "other")]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


# --- published files -------------------------------------------------------------------------------------------------


def test_old_and_new_names_and_spellings_of_scalars_load_alike(pth: Path, tmp_path: Path) -> None:
    stored = torch.load(pth, weights_only=True)
    stored["alpha"], stored["beta"] = stored["alpha"].item(), stored["beta"].detach()[0]
    own = {
        name.removeprefix("residual."): tensor for name, tensor in load_published(pth).state_dict().items()
    }
    swin = {
        name: tensor for name, tensor in own.items() if name.startswith(("swin.", "downconv.", "upconv."))
    }
    assert any(name.startswith("swin.layers.2.downsample.") for name in swin)
    assert any(name.startswith("swin.layers.0.downsample.") for name in stored["unet_embedding"])
    torch.save(stored | {"unet_embedding": swin}, tmp_path / "new.pth")
    assert same(load_published(tmp_path / "new.pth"), load_published(pth))


def test_which_network_a_file_holds_is_read_from_it(pth: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_published(pth).config == SMALL
    monkeypatch.undo()
    with pytest.raises(CorruptWeights, match="77 × 2048") as caught:
        load_published(pth)
    sentence(caught, pth)


class Bomb:
    """A pickle of it runs a command when it is read."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("inside", [False, True])
def test_a_pickle_that_would_run_code_runs_nothing(
    pth: Path, tmp_path: Path, inside: bool, legacy: bool
) -> None:
    bomb = Bomb(tmp_path / "ran")
    content: Any = torch.load(pth, weights_only=True) | {"alpha": bomb} if inside else bomb
    torch.save(content, pth, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CorruptWeights, match=r"asks for \w+\.system .*it was not run") as caught:
        load_published(pth)
    sentence(caught, pth)
    assert not (tmp_path / "ran").exists()
    torch.load(pth, weights_only=False)  # and it would have
    assert (tmp_path / "ran").exists()


DAMAGES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a module": (lambda w: w | {"unet_svd": torch.nn.Linear(1, 1)}, r"torch\.nn\.modules\.linear\.Linear"),
    "a list": (lambda w: [w], "lacks 'unet_svd'; a published NPNet holds"),
    "a part lacks": (lambda w: {key: w[key] for key in w if key != "embeeding"}, "lacks 'embeeding'"),
    "a part is a list": (lambda w: w | {"unet_svd": [1, 2]}, "no state dict under 'unet_svd'"),
    "a tensor lacks": (lambda w: w | {"unet_svd": without(w["unet_svd"], "mlp4.2.bias")}, "lacks tensor 'svd.mlp4.2.bias'"),
    "a tensor too many": (
        lambda w: w | {"unet_svd": w["unet_svd"] | {"mlp9.bias": torch.zeros(3)}},
        "tensor 'svd.mlp9.bias', which NPNet has not",
    ),
    "a number in a tensor's place": (
        lambda w: w | {"unet_svd": w["unet_svd"] | {"mlp4.2.bias": 3}},
        "no tensor under 'svd.mlp4.2.bias'",
    ),
    "another shape": (
        lambda w: w | {"unet_svd": w["unet_svd"] | {"mlp4.2.bias": torch.zeros(3)}},
        r"'svd.mlp4.2.bias' of shape \(3,\) where \(16,\) was expected",
    ),
    "not a number": (
        lambda w: w | {"unet_svd": w["unet_svd"] | {"mlp4.2.bias": torch.full((16,), torch.nan)}},
        "not finite, in 'svd.mlp4.2.bias'",
    ),
    "a scalar is none": (lambda w: w | {"alpha": torch.zeros(3)}, "no single number under 'alpha'"),
    "an infinite scalar": (lambda w: w | {"beta": float("inf")}, "not finite, in 'beta'"),
}  # fmt: skip


def without(tensors: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: tensors[key] for key in tensors if key != name}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_broken_published_file_gets_one_sentence(pth: Path, damage: str) -> None:
    change, message = DAMAGES[damage]
    torch.save(change(torch.load(pth, weights_only=True)), pth)
    with pytest.raises(CorruptWeights, match=message) as caught:
        load_published(pth)
    sentence(caught, pth)


@pytest.mark.parametrize("content", ["truncated", "empty", "text", "half a pickle", "missing"])
def test_what_is_no_file_of_torch_gets_one_sentence(pth: Path, content: str) -> None:
    whole = pth.read_bytes()
    torch.save({"a": torch.zeros(2)}, pth, _use_new_zipfile_serialization=False)
    half = pth.read_bytes()[:60]
    parts = {
        "truncated": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"hello\n" * 9,
        "half a pickle": half,
    }
    pth.unlink()
    if content in parts:
        pth.write_bytes(parts[content])
    with pytest.raises(CorruptWeights, match=r"damaged|missing") as caught:
        load_published(pth)
    sentence(caught, pth)


# --- our folders -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: without(w, "beta"), "lacks tensor 'beta'"),
        (lambda w: w | {"gamma": torch.zeros(1)}, "'gamma', which NPNet has not"),
        (lambda w: w | {"beta": torch.zeros(2)}, r"'beta' of shape \(2,\) where \(1,\)"),
        (lambda w: w | {"beta": torch.tensor([torch.nan])}, "not finite, in 'beta'"),
    ],
)
def test_a_broken_tensor_of_an_artefact_is_named(
    folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]], message: str
) -> None:
    save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors")
    with pytest.raises(CorruptWeights, match=message) as caught:
        load_network(folder)
    sentence(caught, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", None),
        ("model.safetensors", b""),
        ("model.safetensors", b"\xff" * 100),
        ("config.json", None),
        ("config.json", b"{"),
        ("config.json", b"[]"),
        ("config.json", b'{"size": 8}'),
        ("config.json", json.dumps(SMALL.json() | {"size": "large"}).encode()),
        ("config.json", json.dumps(SMALL.json() | {"heads": 0}).encode()),
        ("config.json", json.dumps(SMALL.json() | {"colour": "red"}).encode()),
        ("card.json", b"\x00"),
        ("card.json", b'{"model": {"name": "a", "name": "b"}}'),
    ],
)
def test_a_broken_file_of_an_artefact_is_named(folder: Path, name: str, content: bytes | None) -> None:
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(CorruptWeights) as caught:
        load_network(folder)
    sentence(caught, folder / name)
