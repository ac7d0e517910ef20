"""Every published format loads through the same reward classes: scores, broken files, and hostile ones.

HPSv2 and ImageReward are compared with their official packages in tests/oracle.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from noisekit.errors import CorruptWeights
from noisekit.rewards import published
from noisekit.rewards.aesthetic import Aesthetic
from noisekit.rewards.base import Reward
from noisekit.rewards.clip_score import CLIPScore
from noisekit.rewards.hps import HPS
from noisekit.rewards.image_reward import ImageReward
from noisekit.rewards.mps import MPS
from tests.rewards.conftest import MEAN, STD
from tests.rewards.published import layouts

CLASSES: dict[str, type[Reward]] = {
    "hps": HPS,
    "image_reward": ImageReward,
    "mps": MPS,
    "aesthetic": Aesthetic,
    "clip": CLIPScore,
}
PROMPTS = ["a red circle", "two blue square left"]

# Of conditions in words that are not this small tokenizer's, and of torch's about classes that are not there.
pytestmark = pytest.mark.filterwarnings("ignore:a reward reads only", "ignore:Couldn't retrieve source code")


def pictures(count: int, side: int = 16) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def converted(name: str, files: dict[str, Path], folder: Path) -> Path:
    published.write(layouts.small(name), files, folder)
    return folder


@pytest.mark.parametrize("kind", layouts.FORMATS)
def test_every_format_becomes_a_folder_that_its_reward_reads(kind: str, tmp_path: Path) -> None:
    name, _ = layouts.FORMATS[kind]
    folder = converted(name, layouts.files(name, tmp_path / "source"), tmp_path / "made")
    reward = CLASSES[kind].from_folder(folder, weights="published", edition="here")
    scores = reward(pictures(2), PROMPTS)
    assert scores.isfinite().all() and scores.std() > 1e-4
    assert reward.version.startswith("here, ") or kind == "mps"
    assert not [file for file in folder.iterdir() if file.suffix not in (".json", ".safetensors")]
    assert str(tmp_path) not in "".join(file.read_text() for file in folder.glob("*.json"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "source"]


def test_hps_is_the_network_of_its_file_under_open_clips_own_tokenizer(tmp_path: Path) -> None:
    from open_clip import SimpleTokenizer
    from open_clip.model import CLIP

    files = layouts.files("hps_v2.1", tmp_path / "source")
    hps = HPS.from_folder(converted("hps_v2.1", files, tmp_path / "made"))
    network = CLIP(**layouts.HPS)
    network.load_state_dict(torch.load(next(iter(files.values())), weights_only=True)["state_dict"])
    prompts = ["A “Cat”, &amp; two HORNS…", "ｆｕｌｌ width " * 60]
    images = pictures(2, 28)
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711])
    with torch.no_grad():
        text = network.encode_text(SimpleTokenizer()(prompts, context_length=77), normalize=True)
        image = network.encode_image((images - mean.view(3, 1, 1)) / std.view(3, 1, 1), normalize=True)
    with pytest.warns(UserWarning, match="first 77 of the"):
        torch.testing.assert_close(hps(images, prompts), (text * image).sum(1), atol=1e-6, rtol=1e-5)
    assert hps.cut(prompts) == [0, len(SimpleTokenizer().encode(prompts[1])) + 2 - 77]


@pytest.mark.parametrize("form", ["safetensors", "module", "module in the older format"])
def test_mps_scores_and_climbs_as_the_released_modules(form: str, tmp_path: Path) -> None:
    files = layouts.files("mps", tmp_path / "source")
    if form != "safetensors":
        files |= {"model.safetensors": layouts.pickled_mps(tmp_path, "older" in form)}
    folder = converted("mps", files, tmp_path / "made")
    condition = "circle square left"
    mps = MPS.from_folder(folder, condition=condition, threshold=0.6)
    assert mps.version == "circle square left, threshold 0.6"

    torch.manual_seed(7)
    if form == "safetensors":
        layouts.save_clip(tmp_path / "source", 7)
    official = layouts.official_mps()
    ids = torch.tensor([[2, 4, 5, 8, 3] + [0] * 7, [2, 15, 7, 9, 13, 3] + [0] * 6])
    conditions = torch.tensor([[2, 8, 9, 13, 3] + [0] * 7] * 2)
    images = pictures(2).requires_grad_()
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    expected = official((images - mean) / std, ids, conditions, 0.6)
    found = mps(images, PROMPTS)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    slopes = [torch.autograd.grad(total.sum(), images)[0] for total in (found, expected)]
    largest = slopes[1].abs().max().item()
    torch.testing.assert_close(slopes[0], slopes[1], atol=1e-5 * largest, rtol=1e-5)
    assert expected.std() > 1e-3 and largest > 0


def test_the_aesthetic_head_is_multiplied_out(tmp_path: Path) -> None:
    files = layouts.files("aesthetic", tmp_path / "source")
    reward = Aesthetic.from_folder(converted("aesthetic", files, tmp_path / "made"))
    state = torch.load(files["sac+logos+ava1-l14-linearMSE.pth"], weights_only=True)
    embedding = F.normalize(torch.randn(5, 20), dim=1)
    x = embedding
    for layer in (0, 2, 4, 6, 7):
        x = x @ state[f"layers.{layer}.weight"].T + state[f"layers.{layer}.bias"]
    expected = x.squeeze(1)
    torch.testing.assert_close(
        F.linear(embedding, reward.head["weight"], reward.head["bias"]).squeeze(1), expected
    )
    assert expected.std() > 0.01


def test_the_real_aesthetic_head_gives_its_golden_values(shared: Path) -> None:
    from noisekit.rewards.cards import checkpoints
    from noisekit.rewards.published.aesthetic import affine
    from noisekit.rewards.published.sources import sha256

    file = shared / "data" / "weights" / "sac+logos+ava1-l14-linearMSE.pth"
    if not file.is_file():
        pytest.skip("needs the published aesthetic head in the shared folder")
    assert sha256(file) == checkpoints()["aesthetic"].sources[0].sha256
    head = affine(file, 768)
    weight, bias = head["weight"].double()[0], head["bias"].double().item()
    golden = {"even": 4.883285, "first": 4.545052, "last": 5.451654}
    found = {"even": weight.sum().item() / 768**0.5, "first": weight[0].item(), "last": weight[-1].item()}
    assert {key: value + bias for key, value in found.items()} == pytest.approx(golden, abs=1e-4)
    assert (bias, weight.norm().item()) == pytest.approx((5.236646, 17.995625), abs=1e-4)


def in_files(state: dict[str, torch.Tensor], folder: Path, suffix: str, count: int) -> Path:
    """A state as the hub's repositories hold it: in one file, or in several with an index."""
    stem = "model" if suffix == "safetensors" else "pytorch_model"
    save = save_file if suffix == "safetensors" else torch.save
    if count == 1:
        save(state, folder / f"{stem}.{suffix}")
        return folder / f"{stem}.{suffix}"
    names = [f"{stem}-{i + 1:05}-of-{count:05}.{suffix}" for i in range(count)]
    place = {key: names[i % count] for i, key in enumerate(state)}
    for name in names:
        save({key: state[key] for key in state if place[key] == name}, folder / name)
    index = folder / f"{stem}.{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": place}))
    return index


@pytest.mark.parametrize(
    "checkpoint",
    [
        "pick_score",
        *(pytest.param(f"clip_{n}", marks=pytest.mark.slow) for n in ("b32", "l14", "h14")),
        "aesthetic",
    ],
)
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_a_clip_may_be_pickled_or_in_several_files_and_number_its_positions(
    suffix: str, count: int, checkpoint: str, tmp_path: Path
) -> None:
    files = layouts.files(checkpoint, tmp_path / "source")
    state = load_file(files["model.safetensors"])
    cls = Aesthetic if checkpoint == "aesthetic" else CLIPScore
    expected = cls.from_folder(converted(checkpoint, files, tmp_path / "plain"))(pictures(2), PROMPTS)
    for tower in ("text", "vision"):
        state[f"{tower}_model.embeddings.position_ids"] = torch.arange(12 if tower == "text" else 17)[None]
    (tmp_path / "own").mkdir()
    file = in_files(state, tmp_path / "own", suffix, count)
    folder = converted(checkpoint, files | {"model.safetensors": file}, tmp_path / "made")
    torch.testing.assert_close(cls.from_folder(folder)(pictures(2), PROMPTS), expected)
    linked = checkpoint != "aesthetic" and suffix == "safetensors"
    assert [path.is_symlink() for path in folder.glob("model*.safetensors")] == [linked] * (
        count if linked else 1
    )
    if count > 1:
        next(file.parent.glob("*-00002-of-*")).unlink()
        with pytest.raises(CorruptWeights, match="00002-of-00003"):
            converted(checkpoint, files | {"model.safetensors": file}, tmp_path / "again")


# --- broken files


def state_of(file: Path) -> tuple[dict[str, Any], Callable[[dict[str, Any]], None]]:
    """The tensors of a file, and what writes others in their place."""
    if file.suffix == ".safetensors":
        return load_file(file), lambda state: save_file(state, file, metadata={"format": "pt"})
    content = torch.load(file, weights_only=True)
    if "state_dict" in content:
        return content["state_dict"], lambda state: torch.save({"state_dict": state}, file)
    return content, lambda state: torch.save(state, file)


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def no_file(file: Path) -> None:
    file.unlink()


def text(file: Path) -> None:
    file.write_text("<html>access denied</html>")


def absent(file: Path) -> None:
    state, write = state_of(file)
    del state[weight_of(state)]
    write(state)


def extra(file: Path) -> None:
    state, write = state_of(file)
    write(state | {"surprise.weight": torch.zeros(2)})


def shape(file: Path) -> None:
    state, write = state_of(file)
    state[weight_of(state)] = state[weight_of(state)][:-1].clone()
    write(state)


def nan(file: Path) -> None:
    state, write = state_of(file)
    state[weight_of(state)][0, 0] = torch.nan
    write(state)


def weight_of(state: dict[str, Any]) -> str:
    return next(
        name
        for name, tensor in state.items()
        if tensor.dim() == 2
        and tensor.is_floating_point()
        and not name.startswith(("blip.text_proj", "blip.vision_proj"))
    )


@pytest.mark.parametrize("kind", layouts.FORMATS)
@pytest.mark.parametrize("damage", [truncated, empty, text, no_file, absent, extra, shape, nan])
def test_a_broken_file_gives_one_sentence_that_names_it(
    kind: str, damage: Callable[[Path], None], tmp_path: Path
) -> None:
    name, main = layouts.FORMATS[kind]
    files = layouts.files(name, tmp_path / "source")
    damage(files[main])
    with pytest.raises(CorruptWeights) as caught:
        converted(name, files, tmp_path / "made")
    sentence = str(caught.value)
    assert str(files[main]) in sentence and "\n" not in sentence and len(sentence) < 500
    says = {"absent": "lacks", "extra": "surprise", "shape": "of shape", "nan": "not finite"}
    assert says.get(damage.__name__, "") in sentence
    assert not (tmp_path / "made").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("kind", ["hps", "image_reward", "aesthetic", "clip"])
def test_a_file_that_would_run_code_runs_nothing(kind: str, tmp_path: Path) -> None:
    name, main = layouts.FORMATS[kind]
    files = layouts.files(name, tmp_path / "source")
    mark = tmp_path / "mark"
    hostile = tmp_path / "hostile.pt"
    hostile.write_bytes(pickle.dumps({"state_dict": Touch(mark), "layers.0.weight": Touch(mark)}, protocol=2))
    with pytest.raises(CorruptWeights, match="hostile"):
        converted(name, files | {main: hostile}, tmp_path / "made")
    torch.save({"state_dict": Touch(mark)}, hostile)
    with pytest.raises(CorruptWeights, match="names code, which is never run"):
        converted(name, files | {main: hostile}, tmp_path / "made")
    assert not mark.exists()


class Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))
