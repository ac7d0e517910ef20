"""GenEval: the rules case by case, and what a Mask2Former and a CLIP of the real classes make of pictures."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

import noisekit as nk
from noisekit.errors import BadValue, CorruptWeights
from noisekit.metrics.detectors.detection import Box, Detection, best, iou
from noisekit.metrics.detectors.mask2former import Mask2Former
from noisekit.metrics.geneval.metric import GenEval
from noisekit.metrics.geneval.rules import RELATIONS, TASKS, Record, relations, summary, verdict
from noisekit.metrics.info import legend
from noisekit.metrics.weights import cards
from noisekit.testing import MetricConformance


def there(label: str, *boxes: Any, score: float = 0.95, colour: str = "") -> list[Detection]:
    return [Detection(label, score, Box(*box), colour=colour) for box in boxes]


def own_colours(objects: list[Detection], label: str) -> list[str]:
    return [one.colour or "" for one in objects]


def correct(found: list[Detection], **metadata: Any) -> bool:
    return verdict(found, Record.read({"tag": "two_object"} | metadata), own_colours).correct


LEFT, RIGHT = (0, 0, 10, 10), (20, 0, 30, 10)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (LEFT, RIGHT, {"left of"}),
        (LEFT, (2, 0, 12, 10), set()),
        (LEFT, (20, 20, 30, 30), {"left of", "above"}),
        (LEFT, (20, 14, 30, 24), {"left of"}),
        (LEFT, (20, 16, 30, 26), {"left of", "above"}),
        ((0, 0, 100, 100), (40, 0, 140, 100), set()),
        ((0, 0, 100, 100), (41, 0, 141, 100), {"left of"}),
        ((10, 10, 20, 20), (10, 10, 20, 20), set()),
    ],
)
def test_relations_of_the_official_code(one: Any, other: Any, expected: set[str]) -> None:
    assert relations(Box(*one), Box(*other)) == expected


corner = st.integers(0, 200)
side = st.integers(1, 100)
boxes = st.builds(lambda x, y, w, h: Box(x, y, x + w, y + h), corner, corner, side, side)


@given(boxes, boxes)
def test_relations_turn_round_with_their_boxes(one: Box, other: Box) -> None:
    opposite = dict(zip(RELATIONS, ("right of", "left of", "below", "above"), strict=True))
    assert relations(other, one) == {opposite[relation] for relation in relations(one, other)}
    assert len(relations(one, other) & {"left of", "right of"}) <= 1
    assert 0 <= iou(one, other) <= 1
    assert iou(one, other) == iou(other, one)
    assert iou(one, one) == 1


@pytest.mark.parametrize(("cups", "right"), [(2, False), (3, True), (4, False), (5, False)])
def test_a_number_of_objects_is_exact_where_more_are_excluded(cups: int, right: bool) -> None:
    found = there("cup", *[(20 * i, 0, 20 * i + 10, 10) for i in range(cups)])
    wanted = {"include": [{"class": "cup", "count": 3}], "exclude": [{"class": "cup", "count": 4}]}
    assert correct(found, tag="counting", **wanted) is right
    without = correct(found, tag="counting", include=wanted["include"])
    assert without is (cups >= 3)


def test_more_objects_than_asked_for_are_no_fault() -> None:
    found = there("dog", LEFT, RIGHT, (40, 0, 50, 10)) + there("cat", (60, 0, 70, 10))
    both = [{"class": "dog", "count": 1}, {"class": "cat", "count": 1}]
    assert correct(found, include=both)
    assert not correct(found[:3], include=both)


def test_scores_have_to_exceed_their_threshold() -> None:
    one = [{"class": "cup", "count": 1}]
    assert not correct(there("cup", LEFT, score=0.3), include=one)
    assert correct(there("cup", LEFT, score=0.85), include=one)
    assert not correct(there("cup", LEFT, score=0.85), tag="counting", include=one)
    assert not correct(there("cup", LEFT, score=0.9), tag="counting", include=one)
    assert correct(there("cup", LEFT, score=0.9001), tag="counting", include=one)


def test_only_the_sixteen_best_are_looked_at() -> None:
    many = [Detection("cup", 0.4 + i / 100, Box(*LEFT)) for i in range(20)]
    assert [one.score for one in best(many, "cup", 0.3, 16)] == [0.4 + i / 100 for i in range(19, 3, -1)]
    assert not correct(many, include=[{"class": "cup", "count": 17}])


def test_colours_are_those_of_the_best_objects() -> None:
    wanted = [{"class": "car", "count": 1, "color": "red"}]
    blue, red = there("car", LEFT, score=0.9, colour="blue"), there("car", RIGHT, score=0.8, colour="red")
    assert correct(red, include=wanted)
    assert not correct(blue + red, include=wanted)
    assert correct(red + there("car", LEFT, score=0.5, colour="blue"), include=wanted)


def test_attributes_belong_to_their_objects() -> None:
    wanted = [
        {"class": "wine glass", "count": 1, "color": "purple"},
        {"class": "apple", "count": 1, "color": "black"},
    ]
    right = there("wine glass", LEFT, colour="purple") + there("apple", RIGHT, colour="black")
    swapped = there("wine glass", LEFT, colour="black") + there("apple", RIGHT, colour="purple")
    assert correct(right, include=wanted)
    assert not correct(swapped, include=wanted)


def test_places() -> None:
    wanted = [{"class": "bear", "count": 1}, {"class": "dog", "count": 1, "position": ["right of", 0]}]
    bear = there("bear", LEFT)
    assert correct(bear + there("dog", RIGHT), include=wanted)
    assert not correct(there("dog", RIGHT), include=wanted)  # nothing that it could stand to
    # The best dog stands on the wrong side, the second one on the right one.
    dogs = there("dog", (-30, 0, -20, 10), score=0.9) + there("dog", RIGHT, score=0.8)
    assert not correct(bear + dogs, include=wanted)


def test_a_verdict_says_what_is_wrong() -> None:
    record = Record.read({"tag": "colors", "include": [{"class": "car", "count": 1, "color": "red"}]})
    found = verdict(there("car", LEFT, colour="blue"), record, own_colours)
    assert found.reasons == ("1 red car wanted, found blue",)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"tag": "colors"},
        {"tag": "colors", "include": []},
        {"tag": "colors", "include": "car"},
        {"tag": "colors", "include": [{"class": "car"}]},
        {"tag": "colors", "include": [{"class": "car", "count": 0}]},
        {"tag": "position", "include": [{"class": "car", "count": 1, "position": ["beside", 0]}]},
        {"tag": "position", "include": [{"class": "car", "count": 1, "position": ["above", 0]}]},
        {"tag": "position", "include": [{"class": "car", "count": 1, "position": "above"}]},
    ],
)
def test_no_record_is_guessed(metadata: dict[str, Any]) -> None:
    with pytest.raises(BadValue, match="no record of GenEval"):
        Record.read(metadata)


def test_overall_is_the_mean_of_tasks_and_not_of_images() -> None:
    rows = [("counting", "a", 1.0), ("counting", "a", 0.0), ("counting", "b", 0.0), ("colors", "c", 1.0)]
    scores = summary([*rows, ("colors", "d", math.nan)])
    assert scores.tasks == {"counting": pytest.approx(1 / 3), "colors": 1.0}
    assert scores.overall == pytest.approx(2 / 3)
    assert scores.images == pytest.approx(1 / 2)
    assert scores.prompts == pytest.approx(2 / 3)
    with pytest.raises(BadValue, match="no image has a verdict"):
        summary([("colors", "d", math.nan)])


def test_every_record_of_the_suite_reads(shared: Path) -> None:
    lines = (shared / "data/prompts/geneval_metadata.jsonl").read_text(encoding="utf-8").splitlines()
    records = [Record.read(json.loads(line)) for line in lines]
    assert {record.tag for record in records} == set(TASKS)
    assert len(records) == 553


# --- a detector and a namer of colours of the real classes -----------------------------------------------------------


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

    torch.manual_seed(0)
    backbone = SwinConfig(
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 1, 1],
        window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = Mask2FormerConfig(
        backbone_config=backbone,
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=32,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        dim_feedforward=32,
        num_queries=10,
        num_labels=80,
    )
    folder = tmp_path_factory.mktemp("mask2former")
    Mask2FormerForUniversalSegmentation(config).save_pretrained(folder)
    return folder


def test_masks_become_boxes_and_scores() -> None:
    """Hand-made logits: a rectangle of +10 in −10 of a class is that object, with its box and probability."""
    from noisekit.metrics.detectors.mask2former import CLASSES, detections

    classes = torch.full((3, 81), -20.0)
    classes[0, CLASSES.index("cup")] = 20.0
    classes[1, 80] = 20.0  # nothing
    classes[2, CLASSES.index("dog")], classes[2, 80] = 0.0, 0.0  # as likely nothing
    masks = torch.full((3, 16, 24), -10.0)
    masks[0, 4:8, 2:10] = 10.0
    masks[2, :, 12:] = 10.0
    # A picture of 64 × 88 that was padded to 64 × 96.
    dog, cup = sorted(detections(classes, masks, (64, 96), (64, 88), (64, 88)), key=lambda one: one.score)
    assert (cup.label, dog.label) == ("cup", "dog")
    assert cup.score == pytest.approx(1, abs=0.02)
    assert dog.score == pytest.approx(0.5, abs=0.02)
    assert np.abs(np.subtract(cup.box, (8, 16, 40, 32))).max() <= 1
    assert dog.box[1:] == (0, 88, 64)
    assert cup.mask is not None
    assert cup.mask.shape == (64, 88)
    # Twice the picture: twice the box.
    (large,) = [
        one for one in detections(classes, masks, (64, 96), (64, 88), (128, 176)) if one.label == "cup"
    ]
    assert np.abs(np.subtract(large.box, np.multiply(cup.box, 2))).max() <= 1


def test_a_detector_of_the_real_class(segmenter: Path) -> None:
    """It loads, reads any size, and its input is the original's: the shorter side as asked for, padded to 32."""
    from noisekit.metrics.detectors.mask2former import CLASSES, Mask2Former, prepared

    detector = Mask2Former(segmenter, short=64)
    pictures = [Image.new("RGB", size, "red") for size in ((64, 64), (90, 64))]
    assert [type(found) for found in detector(pictures)] == [list, list]
    pixels, inside = prepared(pictures[1], 64)
    assert inside == (64, 90)
    assert pixels.shape == (1, 3, 64, 96)
    assert (pixels[..., 90:] == 0).all()
    pixels, inside = prepared(Image.new("RGB", (4000, 500)), 800)
    assert inside == (167, 1333)
    assert detector.identity["weights"]
    assert len(set(CLASSES)) == 80
    # With a bias that finds a dog wherever a mask is, the network's own masks become detections.
    with torch.no_grad():
        detector.network.class_predictor.bias[CLASSES.index("dog")] = 50.0
    found = detector(pictures[:1])[0]
    assert {one.label for one in found} <= {"dog"}
    assert all(one.mask is not None and one.mask.shape == (64, 64) for one in found)


@pytest.fixture(scope="module")
def tower() -> Path:
    from noisekit.rewards import locate

    return locate("clip_score", "tiny")[0]


def test_colours_by_a_tower_that_knows_them(tower: Path) -> None:
    """The bundled CLIP was trained on coloured shapes: it names the colours of cut-out ones, whatever lies around them."""
    from noisekit.metrics.geneval.colours import ColourNamer

    namer = ColourNamer(tower)
    picture = Image.new("RGB", (64, 64), "white")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, 63, 63), fill=(220, 35, 35))
    draw.rectangle((16, 16, 47, 47), fill=(45, 80, 225))
    mask = np.zeros((64, 64), bool)
    mask[16:48, 16:48] = True
    inner, outer = (
        Detection("square", 1, Box(8, 8, 56, 56), mask),
        Detection("square", 1, Box(8, 8, 56, 56), ~mask),
    )
    assert namer(picture, [inner, outer], "square") == [
        namer(picture, [inner], "square")[0],
        namer(picture, [outer], "square")[0],
    ]
    assert namer(picture, [], "square") == []


def test_outside_a_mask_is_grey() -> None:
    from noisekit.metrics.geneval.colours import GREY, cut_out

    picture = Image.new("RGB", (10, 10), "red")
    mask = np.zeros((10, 10), bool)
    mask[2:4, 2:4] = True
    cut = cut_out(picture, Detection("x", 1, Box(1, 1, 5, 6), mask))
    assert cut.size == (4, 5)
    assert cut.getpixel((0, 0)) == GREY
    assert cut.getpixel((1, 1)) == (255, 0, 0)
    assert cut_out(picture, Detection("x", 1, Box(1, 1, 5, 6))).getpixel((0, 0)) == (255, 0, 0)


# --- the metric ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights(segmenter: Path, tower: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both parts."""
    folder = tmp_path_factory.mktemp("geneval")
    (folder / "detector").symlink_to(segmenter)
    (folder / "colours").symlink_to(tower)
    return folder


RECORDS = [
    nk.Prompt(
        "a photo of a bench", metadata={"tag": "single_object", "include": [{"class": "bench", "count": 1}]}
    ),
    nk.Prompt(
        "a photo of two clocks",
        metadata={
            "tag": "counting",
            "include": [{"class": "clock", "count": 2}],
            "exclude": [{"class": "clock", "count": 3}],
        },
    ),
]


class TestOnADetector(MetricConformance):
    @pytest.fixture
    def metric(self, weights: Path) -> nk.Metric:
        return nk.load_metric("geneval", str(weights))

    @pytest.fixture
    def prompts(self) -> list[nk.Prompt]:
        return RECORDS

    @pytest.fixture
    def others(self) -> list[nk.Prompt]:
        return [nk.Prompt("a photo of a bench")]


class TestOnTheChecker(MetricConformance):
    @pytest.fixture
    def metric(self) -> nk.Metric:
        return nk.load_metric("geneval")

    @pytest.fixture
    def others(self) -> list[nk.Prompt]:
        return [nk.Prompt("a red circle and a blue circle"), nk.Prompt("a photo")]


def test_what_the_detector_finds_decides(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The metric hands pictures to the detector, its objects to the rules, and their cut-outs to the namer of colours."""
    metric = nk.load_metric("geneval", str(weights))
    assert isinstance(metric, GenEval)
    assert metric.info.weights == weights.name
    assert "Mask2Former swin 8" in metric.info.version
    clocks = there("clock", LEFT, RIGHT, score=0.95)
    monkeypatch.setattr(Mask2Former, "__call__", lambda self, pictures, labels: [clocks for _ in pictures])
    images = torch.rand(2, 3, 32, 32)
    assert metric(images, RECORDS).flatten().tolist() == [0, 1]
    red = {"tag": "colors", "include": [{"class": "clock", "count": 2, "color": "red"}]}
    asked = []

    def namer(picture: Image.Image, objects: list[Detection], label: str) -> list[str]:
        asked.append((picture.size, len(objects), label))
        return ["red"] * len(objects)

    monkeypatch.setattr(metric, "name_colours", namer)
    assert metric(images[:1], [nk.Prompt("x", metadata=red)]).item() == 1
    assert asked == [((32, 32), 2, "clock")]


def test_missing_weights_are_refused_with_what_fetches_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, segmenter: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NOISEKIT_CACHE", str(tmp_path / "made"))
    both = (
        r"`hf download facebook/mask2former-swin-small-coco-instance` downloads its detector \(0.3 GB, .*"
        r"`noisekit rewards fetch clip_score_l14` downloads its colours \(1.7 GB, MIT\)"
    )
    with pytest.raises(CorruptWeights, match=both):
        nk.load_metric("geneval", "published")
    with pytest.raises(CorruptWeights, match="`hf download facebook/mask2former-swin-large-coco-instance`"):
        nk.load_metric("geneval", "facebook/mask2former-swin-large-coco-instance")
    (tmp_path / "own").mkdir()
    (tmp_path / "own/detector").symlink_to(segmenter)
    with pytest.raises(CorruptWeights, match="downloads its colours") as refusal:
        nk.load_metric("geneval", str(tmp_path / "own"))
    assert "its detector" not in str(refusal.value)
    with pytest.raises(BadValue, match="neither 'published', nor a folder with 'detector', 'colours'"):
        nk.load_metric("geneval", str(tmp_path))


def test_a_repository_in_the_hubs_cache_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, segmenter: Path, tower: Path
) -> None:
    """Laid out as the hub's own client lays it out."""
    import shutil

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    home = tmp_path / "models--facebook--mask2former-swin-small-coco-instance"
    (home / "refs").mkdir(parents=True)
    (home / "refs/main").write_text("0" * 40)
    (home / "snapshots").mkdir()
    shutil.copytree(segmenter, home / "snapshots" / ("0" * 40))
    part = cards()["geneval"][0]
    assert part.held() == home / "snapshots" / ("0" * 40)
    (tmp_path / "own").mkdir()
    (tmp_path / "own/colours").symlink_to(tower)
    assert (
        nk.load_metric("geneval", str(tmp_path / "own")).info.weights == "own"
    )  # the detector is the published one


def test_a_run_on_the_tiny_world(tmp_path: Path) -> None:
    """Beside truth, by name, in a comparison; prompts that the rules cannot read have no score."""
    prompts = ["a red circle", "two blue squares", "a red circle and a blue circle"]
    run = nk.compare(
        "tiny-turbo", "standard", prompts, metrics=["geneval", "truth"], store=tmp_path, progress=False
    )
    frame = run.frame()
    assert frame["geneval"].isna().tolist() == [False, False, True]
    assert set(frame["geneval"].dropna()) <= {0.0, 1.0}
    assert "share the backbone checker" in "\n".join(legend(run.metric_info.values()))
