"""Judges that are asked questions: a tiny Qwen3-VL of the real class against its own generation, and scores of answers."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import noisekit as nk
from noisekit.errors import BadValue, CorruptWeights
from noisekit.metrics.vqa.judge import Judge
from noisekit.metrics.vqa.soft_tifa import SoftTIFA, means, spellings
from noisekit.metrics.vqa.vqa_score import QUESTION, VQAScore
from noisekit.prompts.cards import cards
from noisekit.testing import MetricConformance
from tests.metrics.talkers import qwen3_vl


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return qwen3_vl(tmp_path_factory.mktemp("qwen3_vl"))


@pytest.fixture(scope="module")
def judge(folder: Path) -> Judge:
    return Judge(folder, "cpu")


def pictures(count: int) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    sizes = [(64, 64), (48, 64), (64, 32)]
    return [Image.fromarray(rng.integers(0, 256, (*sizes[i % 3], 3), dtype=np.uint8)) for i in range(count)]


ASKED = ["Is it red?", "How many are there? Answer in one word.", "Yes or no?"]


def test_an_answer_begins_as_the_model_itself_begins_it(judge: Judge) -> None:
    """The chance of each token is that of `generate`'s first step, one question at a time and without padding."""
    for picture, question in zip(pictures(3), ASKED, strict=True):
        content = [{"type": "image", "image": picture}, {"type": "text", "text": question}]
        inputs = judge.processor.apply_chat_template(
            [{"role": "user", "content": content}],
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
        )
        said = judge.network.generate(
            **inputs, max_new_tokens=1, do_sample=False, output_logits=True, return_dict_in_generate=True
        )
        chances = said.logits[0][0].softmax(-1)
        (yes,) = judge.begins([picture], [question], [["Yes"]])
        token = judge.processor.tokenizer.convert_tokens_to_ids("Yes")
        assert yes == pytest.approx(chances[token].item(), abs=1e-6)
        (several,) = judge.begins([picture], [question], [["Yes", "yes", " Yes", " yes", "Yes"]])
        names = ["Yes", "yes", "ĠYes", "Ġyes"]
        ids = judge.processor.tokenizer.convert_tokens_to_ids(names)
        assert several == pytest.approx(chances[ids].sum().item(), abs=1e-6)
        assert 0 < yes < several < 1


def test_a_batch_equals_its_singles(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions of other lengths and pictures of other sizes, in batches of three and by one."""
    seen, asked = pictures(5), [*ASKED, *ASKED[:2]]
    words = [["Yes"], ["two", "2"], ["no"], ["Yes"], ["No"]]
    whole = judge.begins(seen, asked, words)
    monkeypatch.setattr("noisekit.metrics.vqa.judge.BATCH", 3)
    assert judge.begins(seen, asked, words) == pytest.approx(whole, abs=1e-6)
    single = [judge.begins([p], [q], [w])[0] for p, q, w in zip(seen, asked, words, strict=True)]
    assert single == pytest.approx(whole, abs=1e-6)
    assert len({round(value, 6) for value in whole}) == 5


class TestVQAScore(MetricConformance):
    @pytest.fixture
    def metric(self, judge: Judge) -> nk.Metric:
        return VQAScore(judge, "tiny")


QUESTIONS = [["Is it red?", "Yes"], ["How many circles are there?", "two"]]


class TestSoftTIFA(MetricConformance):
    @pytest.fixture
    def metric(self, judge: Judge) -> nk.Metric:
        return SoftTIFA(judge, "tiny")

    @pytest.fixture
    def prompts(self) -> list[nk.Prompt]:
        return [
            nk.Prompt("two red circles", metadata={"vqa_list": own}) for own in (QUESTIONS, QUESTIONS[:1])
        ]

    @pytest.fixture
    def others(self) -> list[nk.Prompt]:
        return [nk.Prompt("two red circles")]


def test_scores_are_by_name_and_folder(folder: Path, judge: Judge) -> None:
    metric = nk.load_metric("vqa_score", str(folder))
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    picture = Image.fromarray((image[0] * 255).round().byte().permute(1, 2, 0).numpy())
    (expected,) = judge.begins([picture], [QUESTION.format("a red circle")], [["Yes"]])
    assert metric(image, ["a red circle"]).item() == pytest.approx(expected, abs=1e-6)
    assert metric.info.version == "P(Yes) of qwen3_vl 2x32"
    half = nk.load_metric("soft_tifa", str(folder), dtype="bfloat16")
    assert half.info.version.endswith("qwen3_vl 2x32, bfloat16")
    prompt = nk.Prompt("two red circles", metadata={"vqa_list": QUESTIONS})
    full = nk.load_metric("soft_tifa", str(folder))
    assert half(image, [prompt]).tolist()[0] == pytest.approx(full(image, [prompt]).tolist()[0], rel=0.3)
    assert half.identity != full.identity


class Answering:
    """A judge with given answers, that notes what it was asked."""

    name, precision, identity = "given", "", {"judge": "given"}

    def __init__(self, *chances: float) -> None:
        self.chances, self.asked = chances, list[tuple[str, list[str]]]()

    def begins(self, pictures: Sequence[Any], questions: Sequence[str], words: Sequence[Any]) -> list[float]:
        self.asked += zip(questions, words, strict=True)
        return list(self.chances)


@pytest.mark.parametrize(
    ("chances", "am", "gm"), [((0.9, 0.4), 0.65, 0.6), ((1.0, 0.0), 0.5, 0.0), ((0.3,), 0.3, 0.3)]
)
def test_soft_tifa_of_given_answers(chances: tuple[float, ...], am: float, gm: float) -> None:
    answering = Answering(*chances)
    prompt = nk.Prompt("two red circles", metadata={"vqa_list": QUESTIONS[: len(chances)]})
    figures = SoftTIFA(answering, "given")(torch.rand(1, 3, 8, 8), [prompt])  # type: ignore[arg-type]
    assert figures[0].tolist() == pytest.approx([gm, am])
    assert means(chances) == pytest.approx((gm, am))
    assert answering.asked[0] == ("Is it red? Answer in one word.", spellings("Yes"))


def test_geneval_2_runs_from_its_file_to_its_table(folder: Path, tmp_path: Path) -> None:
    """A rehearsed file in the format of the benchmark: 800 prompts, their questions and how many atoms each has."""
    lines = [
        {
            "prompt": f"{number} red circles, picture {number}",
            "atom_count": 3 + number % 8,
            "vqa_list": [[f"Is picture {number} red?", "Yes"], ["How many circles are there?", "two"]],
            "skills": ["attribute", "count"],
        }
        for number in range(800)
    ]
    file = tmp_path / "geneval2_data.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert len(nk.load_prompts(f"geneval2:10={file}")) == 100
    assert cards()["geneval2"].licence == "CC BY-NC 4.0"
    plan = nk.load_plan(
        {
            "models": ["tiny-turbo"],
            "prompts": {"suite": f"geneval2={file}", "limit": 2},
            "seeds": 1,
            "metrics": ["soft_tifa"],
            "weights": str(folder),
            "methods": ["standard"],
        }
    )
    run = nk.run_plan(plan, store=tmp_path / "run", progress=False)
    frame = run.frame()
    assert frame["kind"].tolist() == ["3", "4"]
    assert frame["soft_tifa"].between(0, 1).all()
    assert (frame["soft_tifa"] <= frame["soft_tifa_atoms"] + 1e-9).all()
    assert "10" not in set(run.by_category()["category"])


def test_spellings() -> None:
    assert set(spellings("Yes")) == {"Yes", "yes", " yes", " Yes"}
    assert set(spellings("four")) == {"four", "Four", " four", " Four", "4", " 4"}


@pytest.mark.parametrize("given", ["Is it red?", [], [["Is it red?"]], None])
def test_records_without_questions_are_refused(judge: Judge, given: Any) -> None:
    with pytest.raises(BadValue, match=r"no list of \[question, answer\]"):
        SoftTIFA(judge, "tiny")(torch.rand(1, 3, 8, 8), [nk.Prompt("x", metadata={"vqa_list": given})])


def test_weights_that_are_missing_say_what_fetches_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for name in ("vqa_score", "soft_tifa", "vqa_score_4bit"):
        with pytest.raises(
            CorruptWeights, match="`hf download Qwen/Qwen3-VL-8B-Instruct` downloads its judge"
        ):
            nk.load_metric(name, "published")
    with pytest.raises(CorruptWeights, match="`hf download Qwen/Qwen3-VL-2B-Instruct`"):
        nk.load_metric("soft_tifa", "Qwen/Qwen3-VL-2B-Instruct")


def test_four_bits_are_told_from_others_or_refused(folder: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("bitsandbytes") is None:
        with pytest.raises(BadValue, match=r"`pip install 'noisekit\[4bit\]'`"):
            nk.load_metric("vqa_score_4bit", str(folder))
        return
    wide = str(qwen3_vl(tmp_path, 128))  # 4 bits go by blocks of 64 numbers
    rounded, whole = nk.load_metric("vqa_score_4bit", wide), nk.load_metric("vqa_score", wide)
    assert rounded.info.version == "P(Yes) of qwen3_vl 2x128, 4 bit"
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    said, exact = (metric(image, ["a red circle"]).item() for metric in (rounded, whole))
    assert 0 < said < 1
    assert said != exact
