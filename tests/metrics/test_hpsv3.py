"""HPSv3 on a tiny Qwen2-VL of the real class, against the network called plainly by its published recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import noisekit as nk
from noisekit.errors import CorruptWeights
from noisekit.metrics.vqa.hpsv3 import TOKEN, HPSv3, Words, published_words, resized
from noisekit.testing import MetricConformance
from tests.metrics.talkers import SPECIAL, qwen2_vl

#: A rubric of ours; the published one does not come with noisekit.
RUBRIC = (
    'INSTRUCTION = """Rate it: {text_prompt}?"""\nprompt_with_special_token = """\nRate: <|Reward|>\n"""\n'
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    """A folder of both parts, and the network and the head in it."""
    folder = tmp_path_factory.mktemp("hpsv3")
    for part in ("scorer", "skeleton"):
        (folder / part).mkdir()
    network, head = qwen2_vl(folder / "scorer", folder / "skeleton")
    (folder / "scorer/words.py").write_text(RUBRIC)
    return folder, network, head


@pytest.fixture(scope="module", autouse=True)
def small(module_patch: pytest.MonkeyPatch) -> None:
    """Pictures of sixteen tokens."""
    module_patch.setattr("noisekit.metrics.vqa.hpsv3.PIXELS", 112 * 112)


@pytest.fixture(scope="module")
def module_patch() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


class TestHPSv3(MetricConformance):
    @pytest.fixture
    def metric(self, made: tuple[Path, Any, Any]) -> nk.Metric:
        return nk.load_metric("hpsv3", str(made[0]))


def test_a_score_is_that_of_the_plain_network(made: tuple[Path, Any, Any]) -> None:
    folder, network, head = made
    metric = nk.load_metric("hpsv3", str(folder))
    assert isinstance(metric, HPSv3)
    assert metric.info.version == "mean, pictures at about 448², another rubric than the published"
    image = torch.rand(1, 3, 60, 80, generator=torch.Generator().manual_seed(0))
    prompt = "a red circle"
    words = metric.processor.tokenizer
    picture = resized(Image.fromarray((image[0] * 255).round().byte().permute(1, 2, 0).numpy()))
    seen = metric.processor.image_processor(images=[picture], do_resize=False, return_tensors="pt")
    count = int(seen["image_grid_thw"].prod() // 4)
    start, stop, vision, ended, pad = SPECIAL[1], SPECIAL[2], SPECIAL[3], SPECIAL[4], SPECIAL[5]
    text = f"{start}user\n{vision}{pad * count}{ended}Rate it: {prompt}?\nRate: {TOKEN}\n{stop}\n{start}assistant\n"
    ids = words(text, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        states = network(
            input_ids=ids, **seen, position_ids=torch.arange(ids.shape[1]).expand(3, 1, -1)
        ).last_hidden_state
        place = (ids[0] == words.convert_tokens_to_ids(TOKEN)).nonzero().item()
        expected = head(states[0, place])[0].item()
        plane = network(
            input_ids=ids, **seen, mm_token_type_ids=(ids == words.convert_tokens_to_ids(pad)).int()
        ).last_hidden_state
    assert metric(image, [prompt]).item() == pytest.approx(expected, abs=1e-5)
    assert (
        abs(head(plane[0, place])[0].item() - expected) > 1e-3
    )  # positions in a plane would score otherwise


@pytest.mark.parametrize(
    ("side", "expected"), [(512, 448), (640, 448), (1024, 448), (576, 420), (768, 420), (1536, 420)]
)
def test_pictures_are_rounded_as_published(side: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("noisekit.metrics.vqa.hpsv3.PIXELS", 448 * 448)
    assert resized(Image.new("RGB", (side, side))).size == (expected, expected)
    assert resized(Image.new("RGB", (768, 512))).size == (532, 364)


def test_the_rubric_is_read_and_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "words.py").write_text(f"raise SystemExit\n{RUBRIC}")
    words = published_words(tmp_path)
    assert words == Words("Rate it: {text_prompt}?", "\nRate: <|Reward|>\n")
    assert words.around("a cat") == "Rate it: a cat?\nRate: <|Reward|>\n"
    for spoilt in ("INSTRUCTION = 1", "INSTRUCTION = 'a'\nprompt_with_special_token = 'b'", "def"):
        (tmp_path / "words.py").write_text(spoilt)
        with pytest.raises(CorruptWeights, match="does not hold the rubric"):
            published_words(tmp_path)
    (tmp_path / "words.py").unlink()
    package = tmp_path / "hpsv3"
    (package / "dataset").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CorruptWeights, match="`pip install --no-deps hpsv3==1"):
        published_words(tmp_path)
    (package / "__init__.py").write_text("raise ImportError('it needs old libraries')")
    (package / "dataset/data_collator_qwen.py").write_text(f"import deepspeed\n{RUBRIC}")
    assert published_words(tmp_path) == words


def test_a_file_without_its_head_is_refused(made: tuple[Path, Any, Any], tmp_path: Path) -> None:
    import shutil

    folder = made[0]
    shutil.copytree(folder, tmp_path / "copy")
    file = tmp_path / "copy/scorer/HPSv3.safetensors"
    tensors = load_file(file)
    save_file({name: tensor for name, tensor in tensors.items() if "rm_head.5" not in name}, file)
    with pytest.raises(CorruptWeights, match="no embedding or no head"):
        nk.load_metric("hpsv3", str(tmp_path / "copy"))
    save_file({name: tensor for name, tensor in tensors.items() if "layers.1.mlp" not in name}, file)
    with pytest.raises(CorruptWeights, match="lacks"):
        nk.load_metric("hpsv3", str(tmp_path / "copy"))
