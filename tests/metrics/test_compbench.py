"""T2I-CompBench: the rules case by case, and BLIP and OWLv2 of the real classes at tiny sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import noisekit as nk
from noisekit.errors import BadValue, NotSupported
from noisekit.metrics.compbench.blip import ANSWER, ASK, NO, YES, BlipVQA, cleaned, product
from noisekit.metrics.compbench.parser import Parser, Rules, SpaCy, default_parser, phrases, relation
from noisekit.metrics.compbench.spatial import Relation, geometry, score
from noisekit.metrics.detectors.detection import Box, Detection
from noisekit.rewards import locate
from noisekit.rewards.clip_score import CLIPScore
from noisekit.testing import MetricConformance

A = (0, 0, 100, 100)


@pytest.mark.parametrize(
    ("one", "other", "said", "expected"),
    [
        (A, (200, 0, 300, 100), "left", 1),
        (A, (200, 0, 300, 100), "right", 0),
        (A, (50, 0, 150, 100), "left", 0.3),
        (A, (90, 0, 190, 100), "left", 1),
        (A, (100, 100, 200, 200), "left", 0),
        (A, (101, 100, 201, 200), "left", 1),
        (A, (0, 200, 100, 300), "top", 1),
        (A, (0, 200, 100, 300), "bottom", 0),
        (A, (300, 300, 400, 400), "near", 0.5),
        ((0, 0, 10, 10), (400, 100, 410, 110), "near", 1),
        (A, (0, 200, 100, 300), "", 0),
        (A, A, "left", 0),
    ],
)
def test_relations_of_the_official_code(one: Any, other: Any, said: str, expected: float) -> None:
    assert geometry(Box(*one), Box(*other), said) == pytest.approx(expected)
    back = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}.get(said, said)
    assert geometry(Box(*other), Box(*one), back) == pytest.approx(expected)


def found(label: str, box: Any, value: float) -> Detection:
    return Detection(label, value, Box(*box))


def test_the_score_of_a_relation() -> None:
    asked, size = Relation("cat", "left", "dog"), (480, 480)
    cat, dog = found("cat", A, 0.8), found("dog", (200, 0, 300, 100), 0.6)
    assert score([cat, dog], asked, size) == pytest.approx(0.25 * 0.8 + 0.25 * 0.6 + 0.5)
    assert score([], asked, size) == 0
    assert score([cat], asked, size) == 0  # ¼ s is under ½
    assert score([cat, dog], Relation("cat", "right", "dog"), size) == 0
    # Both certain: the wrong relation leaves ½, which is not under it.
    sure = [found("cat", A, 1.0), found("dog", dog.box, 1.0)]
    assert score(sure, Relation("cat", "right", "dog"), size) == 0.5
    # The best box of each name decides, wherever the others are.
    assert score([found("cat", (400, 0, 500, 100), 0.7), cat, dog], asked, size) == score(
        [cat, dog], asked, size
    )


def test_nearness_is_measured_in_a_picture_of_480() -> None:
    boxes = found("cat", (0, 0, 20, 20), 1.0), found("dog", (700, 700, 720, 720), 1.0)
    asked = Relation("cat", "near", "dog")
    assert score(boxes, asked, (1024, 1024)) == pytest.approx(0.5 + 0.5 * 150 / (700 * 480 / 1024))
    assert score(boxes, asked, (3000, 100)) == 1


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a giraffe next to a lamp", ("giraffe", "near", "lamp")),
        ("a girl on the top of a frog", ("person", "top", "frog")),
        ("a mouse on side of a key", ("mouse", "near", "key")),
        ("a bee on the right of a refrigerator", ("bee", "right", "refrigerator")),
        ("a cup near a man", ("cup", "near", "person")),
        ("The red hat was on top of the brown coat rack.", ("hat", "", "rack")),
        ("a red apple and a blue bowl", None),
        ("a nearby tree", None),
        ("next to", None),
    ],
)
def test_relations_in_words(prompt: str, expected: tuple[str, str, str] | None) -> None:
    assert relation(prompt) == (expected and Relation(*expected))


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a green bench and a blue bowl", ["a green bench", "a blue bowl"]),
        ("rubber sole shoes and fluffy clouds", ["rubber sole shoes", "fluffy clouds"]),
        ("A black and white cat sits in a white sink.", ["A black and white cat", "a white sink"]),
        ("The soft, fluffy pillow", ["The soft, fluffy pillow"]),
        (
            "The round clock was on the left of the rectangular picture frame.",
            ["The round clock", "the rectangular picture frame"],
        ),
        ("the green plant on top of the shelf", ["the green plant", "the shelf"]),
        ("and of the", []),
        (", ".join(f"a cup{i}" for i in range(12)), [f"a cup{i}" for i in range(8)]),
    ],
)
def test_phrases(prompt: str, expected: list[str]) -> None:
    assert phrases(Rules(), prompt) == expected


def test_words_without_adjectives() -> None:
    assert Rules().without_adjectives("The red hat was on top of the brown coat rack.") == (
        "The hat was on top of the coat rack ."
    )


def test_template_prompts_are_read_as_they_are_meant(shared: Path) -> None:
    """Both things of "a red apple and a blue bowl", in every prompt of that form; the spatial ones have their relation."""
    import re

    folder = shared / "data/prompts/t2i_compbench"
    count, wrong = 0, list[str]()
    for category in ("color", "shape", "texture"):
        for line in (folder / f"{category}_val.txt").read_text(encoding="utf-8").splitlines():
            if two := re.fullmatch(r"(an? [\w' -]+) and (an? [\w' -]+)", line):
                count += 1
                wrong += [line] if phrases(Rules(), line) != list(two.groups()) else []
    assert count > 600
    assert len(wrong) < 30, wrong  # such as a slice of cheese, which is two things to spaCy, too
    spatial = (folder / "spatial_val.txt").read_text(encoding="utf-8").splitlines()
    for line in spatial:
        said = relation(line)
        assert said is not None
        assert said.target in (line.split()[-1].lower(), "person")


def test_the_parser_is_spacy_where_it_is() -> None:
    try:
        parser: Parser = SpaCy()
    except (ImportError, OSError):
        assert default_parser().name == "phrases by rules"
        pytest.skip("needs spaCy and its model en_core_web_sm: this holds the rules' side only")
    assert default_parser().name == parser.name
    assert phrases(parser, "a green bench and a blue bowl") == ["a green bench", "a blue bowl"]


# --- BLIP ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vqa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BLIP with the vocabulary that its tokens need, and a tokenizer of a few words."""
    from transformers import BertTokenizer, BlipConfig, BlipForQuestionAnswering

    torch.manual_seed(0)
    width = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BlipConfig(
        text_config={**width, "vocab_size": 30524, "encoder_hidden_size": 16, "bos_token_id": ANSWER},
        vision_config={**width, "image_size": 32, "patch_size": 8},
    )
    folder = tmp_path_factory.mktemp("blip")
    network = BlipForQuestionAnswering(config)
    for tensor in network.parameters():
        torch.nn.init.normal_(tensor, std=0.3)  # told apart by more than rounding
    network.save_pretrained(folder)
    words = "[PAD] [UNK] [CLS] [SEP] [MASK] a the red green blue bench bowl apple ?".split()
    BertTokenizer(vocab={word: i for i, word in enumerate(words)}).save_pretrained(folder)
    return folder


def pictures(count: int) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (40, 24, 3), dtype=np.uint8)) for _ in range(count)]


def test_answers_are_those_of_the_plain_composition(vqa: Path) -> None:
    """Tower, question and answer called one after the other, for one question, by the published recipe."""
    from transformers import BertTokenizer, BlipForQuestionAnswering

    judge, picture = BlipVQA(vqa), pictures(1)[0]
    network = BlipForQuestionAnswering.from_pretrained(vqa).eval()
    pixels = torch.from_numpy(np.array(picture.resize((32, 32), Image.Resampling.BICUBIC))).permute(2, 0, 1)
    mean, std = (
        torch.tensor([0.48145466, 0.4578275, 0.40821073]),
        torch.tensor([0.26862954, 0.26130258, 0.27577711]),
    )
    pixels = (pixels / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    ids = BertTokenizer.from_pretrained(vqa)("a red bench?", return_tensors="pt")["input_ids"]
    ids[0, 0] = ASK
    with torch.no_grad():
        seen = network.vision_model(pixel_values=pixels[None])[0]
        asked = network.text_encoder(input_ids=ids, encoder_hidden_states=seen)[0]
        logits = network.text_decoder(
            input_ids=torch.tensor([[ANSWER]]), encoder_hidden_states=asked, is_decoder=True
        ).logits
    chances = logits[0, -1].softmax(-1)
    expected = (chances[YES] / (chances[YES] + chances[NO])).item()
    (((answer,),)) = judge.yes([picture], [["A red bench?"]])
    assert answer == round(expected, 4)
    assert 0.01 < expected < 0.99


def test_a_batch_of_questions_equals_its_singles(vqa: Path) -> None:
    judge, seen = BlipVQA(vqa), pictures(3)
    asked = [
        ["a red bench?", "the blue bowl?"],
        ["apple?"],
        ["a the red green blue bowl?", "a bench?", "apple?"],
    ]
    together = judge.yes(seen, asked)
    alone = [
        [judge.yes([picture], [[one]])[0][0] for one in own] for picture, own in zip(seen, asked, strict=True)
    ]
    for many, single in zip(together, alone, strict=True):
        assert many == pytest.approx(single, abs=1e-4)
    assert len({value for own in together for value in own}) == 6  # questions and pictures both decide
    assert judge.yes(seen[:1], [[]]) == [[]]


def test_questions_are_cleaned_and_cut() -> None:
    assert cleaned('A "Red" bench: (old); #1?') == "a red bench old 1?"
    assert len(cleaned("word " * 80).split()) == 50


def test_products() -> None:
    assert product([]) == 1
    assert product([0.5]) == 0.5
    assert product([0.5, 0.3333]) == product([0.3333, 0.5]) == 0.1666


# --- OWLv2 -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def owl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import (
        CLIPTokenizer,
        Owlv2Config,
        Owlv2ForObjectDetection,
        Owlv2ImageProcessor,
        Owlv2Processor,
    )

    torch.manual_seed(0)
    width = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    letters = {
        chr(code) + end: i
        for i, (code, end) in enumerate((c, e) for c in range(97, 123) for e in ("", "</w>"))
    }
    tokens = {**letters, "<|startoftext|>": 52, "<|endoftext|>": 53}
    config = Owlv2Config(
        text_config={
            **width,
            "vocab_size": 54,
            "max_position_embeddings": 32,
            "bos_token_id": 52,
            "eos_token_id": 53,
        },
        vision_config={**width, "image_size": 64, "patch_size": 16},
        projection_dim=16,
    )
    folder = tmp_path_factory.mktemp("owlv2")
    network = Owlv2ForObjectDetection(config)
    # Scores that are neither 0 nor 1, boxes that are not empty.
    for tensor in (*network.class_head.logit_scale.parameters(), *network.box_head.parameters()):
        torch.nn.init.normal_(tensor, std=0.1)
    network.save_pretrained(folder)
    tokenizer = CLIPTokenizer(vocab=tokens, merges=[], model_max_length=32)
    images = Owlv2ImageProcessor(size={"height": 64, "width": 64})
    Owlv2Processor(image_processor=images, tokenizer=tokenizer).save_pretrained(folder)
    return folder


def test_an_open_vocabulary_detector_of_the_real_class(owl: Path) -> None:
    """Boxes in the picture's pixels, of the asked names only, over the threshold, and the same alone as in a batch."""
    from noisekit.metrics.detectors.owlv2 import OWLv2

    seen, labels = pictures(2), [["cat", "dog"], ["cup"]]
    detector = OWLv2(owl, threshold=0.0)
    both = detector(seen, labels)
    for i, own in enumerate(both):
        assert own
        assert {one.label for one in own} <= set(labels[i])
        assert all(0 <= one.score <= 1 for one in own)
        (alone,) = detector([seen[i]], [labels[i]])
        assert [one.label for one in alone] == [one.label for one in own]
        assert np.abs(np.subtract([one.box for one in alone], [one.box for one in own])).max() < 1e-3
    middle = float(np.median([one.score for one in both[0]]))
    (fewer,) = OWLv2(owl, threshold=middle)(seen[:1], labels[:1])
    assert len(fewer) == sum(one.score > middle for one in both[0])
    # Boxes are shares of the square that a picture is padded to: twice the picture, twice the box.
    large = seen[0].resize((48, 80), Image.Resampling.NEAREST)
    (twice,) = detector([large], labels[:1])
    ratio = np.divide([one.box.sides for one in twice], [one.box.sides for one in both[0]])
    assert np.median(ratio) == pytest.approx(2, rel=0.05)


# --- the metrics -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights(vqa: Path, owl: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compbench")
    for name, part in {"vqa": vqa, "detector": owl, "clip": locate("clip_score", "tiny")[0]}.items():
        (folder / name).symlink_to(part)
    return folder


def prompt(text: str, category: str, **others: str) -> nk.Prompt:
    return nk.Prompt(text, metadata={"category": category, **others})


#: A prompt, and which parts its score is the mean of.
CASES: list[tuple[nk.Prompt, tuple[str, ...]]] = [
    (prompt("a red bench and a blue bowl", "color"), ("attribute",)),
    (prompt("a bench next to a bowl", "spatial"), ("spatial",)),
    (prompt("the bowl holds an apple", "non_spatial"), ("action",)),
    (prompt("The red bench was next to the blue bowl.", "complex"), ("attribute", "spatial")),
    (prompt("The red bench holds the blue bowl.", "complex"), ("attribute", "action")),
    (
        prompt("the red bench next to the bowl", "complex", complex="spatialaction"),
        (
            "attribute",
            "spatial",
            "action",
        ),
    ),
]
PROMPTS = [case for case, _ in CASES]


class TestCompBench(MetricConformance):
    @pytest.fixture
    def metric(self, weights: Path) -> nk.Metric:
        return nk.load_metric("compbench", str(weights))

    @pytest.fixture
    def prompts(self) -> list[nk.Prompt]:
        return PROMPTS

    @pytest.fixture
    def others(self) -> list[nk.Prompt]:
        return [nk.Prompt("a red bench and a blue bowl")]


class TestAttributes(MetricConformance):
    @pytest.fixture
    def metric(self, weights: Path) -> nk.Metric:
        return nk.load_metric("blip_vqa", str(weights))


class TestOnTheChecker(MetricConformance):
    @pytest.fixture
    def metric(self) -> nk.Metric:
        return nk.load_metric("compbench")

    @pytest.fixture
    def prompts(self) -> list[nk.Prompt]:
        return [nk.Prompt(f"a red circle {where} a blue square") for where in ("above", "to the left of")]

    @pytest.fixture
    def others(self) -> list[nk.Prompt]:
        return [nk.Prompt("a red circle"), nk.Prompt("a red circle above a blue circle")]


def test_a_prompt_is_scored_by_its_category(weights: Path) -> None:
    """Each part where it is asked for, by the same judges that stand alone, and their mean."""
    metric = nk.load_metric("compbench", str(weights))
    images = torch.rand(len(CASES), 3, 32, 32, generator=torch.Generator().manual_seed(0))
    figures = metric(images, PROMPTS)
    columns = dict(zip(("attribute", "spatial", "action"), figures.T[1:], strict=True))
    for i, (_, names) in enumerate(CASES):
        assert {name for name, values in columns.items() if not values[i].isnan()} == set(names)
        assert figures[i, 0].item() == pytest.approx(
            sum(columns[name][i].item() for name in names) / len(names)
        )
    alone = nk.load_metric("blip_vqa", str(weights))(images[:1], PROMPTS[:1])
    assert alone.item() == columns["attribute"][0].item()
    tower = CLIPScore(weights / "clip", "tiny", "cpu", convention="raw")
    said = [
        "the bowl holds an apple",
        "The bench holds the bowl .",
    ]  # a complex prompt's action has no adjectives
    assert columns["action"][[2, 4]].tolist() == pytest.approx(
        tower.judge(images[[2, 4]], said).tolist(), abs=1e-6
    )
    with pytest.raises(
        BadValue, match="complex by 'both'; its record may say spatial, action, spatialaction"
    ):
        metric(images[:1], [prompt("a bench", "complex", complex="both")])


def test_what_reads_and_what_finds_stand_beside_the_score(weights: Path) -> None:
    info = nk.load_metric("compbench", str(weights)).info
    assert "spatial (OWLv2" in info.version
    assert default_parser().name in info.version
    assert "BLIP ViT-2x16/8 at 32" in info.family


def test_relations_on_the_checker_follow_the_truth() -> None:
    """A drawn relation scores above ½, its opposite exactly ½: both things are certain, the place is wrong."""
    from noisekit.world import draw
    from noisekit.world import parse as scene_of

    captions = ["a red circle to the left of a blue square", "a green triangle below a red circle"]
    opposite = ["a red circle to the right of a blue square", "a green triangle above a red circle"]
    images = torch.from_numpy(draw([scene_of(c) for c in captions], np.random.default_rng(0)))
    metric = nk.load_metric("compbench")
    assert metric(images, captions)[:, 0].tolist() == [1.0, 1.0]
    assert metric(images, opposite)[:, 0].tolist() == [0.5, 0.5]


def test_tiny_weights_are_there_for_relations_only() -> None:
    with pytest.raises(NotSupported, match="metric 'blip_vqa' has no tiny weights"):
        nk.load_metric("blip_vqa")
    assert nk.load_metric("compbench")(torch.rand(1, 3, 32, 32), PROMPTS[:1]).isnan().all()
