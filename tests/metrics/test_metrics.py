"""Metrics by name, whoever they are by: what they are asked, what they may answer, and when their scores are made anew."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import noisekit as nk
from noisekit import registry
from noisekit.errors import BadValue
from noisekit.metrics.loading import applicable
from noisekit.metrics.truth import Truth
from noisekit.prompts import load_prompts
from noisekit.testing import MetricConformance


class Counted(nk.Metric):
    """Answers the questions of a prompt's record, as a detector would: the mean of the pixels by what is asked of it."""

    reads_record = True
    info = nk.MetricInfo(
        name="counted",
        version="mean over asked",
        weights="none",
        family="none",
        low=0.0,
        high=1.0,
        tie=0.0,
        parts=("asked",),
    )
    identity = {"metric": "counted", "version": 1}
    #: The images that were judged.
    judged: list[str] = []

    @classmethod
    def applies(cls, prompt: nk.Prompt) -> bool:
        return "asked" in prompt.metadata

    def score(self, images: Tensor, prompts: Sequence[nk.Prompt]) -> Tensor:
        self.judged.extend(prompt.text for prompt in prompts)
        asked = torch.tensor([float(prompt.metadata["asked"]) for prompt in prompts])
        return torch.stack([(images.mean((1, 2, 3)) * asked).clamp(0, 1), asked], 1)


class Square(Counted):
    """Forgets its second column."""

    def score(self, images: Tensor, prompts: Sequence[nk.Prompt]) -> Tensor:
        return super().score(images, prompts)[:, :1]


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The metrics above, as a package would declare them; "alias" and "nothing" are declared wrongly."""
    table = {"counted": "Counted", "square": "Square", "alias": "Counted", "nothing": "PROMPTS"}
    for name, attribute in table.items():
        monkeypatch.setitem(registry.METRICS, name, f"{__name__}:{attribute}")
    Counted.judged.clear()


class TestTruth(MetricConformance):
    @pytest.fixture
    def metric(self) -> nk.Metric:
        return nk.load_metric("truth")

    @pytest.fixture
    def others(self) -> Sequence[nk.Prompt]:
        return [nk.Prompt("a photograph of a cat"), nk.Prompt("")]


class TestCounted(MetricConformance):
    @pytest.fixture
    def metric(self) -> nk.Metric:
        return nk.load_metric("counted")

    @pytest.fixture
    def prompts(self) -> Sequence[nk.Prompt]:
        return [nk.Prompt("a lamp", metadata={"asked": n}) for n in (0.5, 1, 1.2)]

    @pytest.fixture
    def others(self) -> Sequence[nk.Prompt]:
        return [nk.Prompt("a lamp")]


class TestRewards(MetricConformance):
    @pytest.fixture(params=["image_reward", "mps", "color_red"])
    def metric(self, request: pytest.FixtureRequest) -> nk.Metric:
        return nk.load_metric(request.param)


PROMPTS = [nk.Prompt("a lamp", metadata={"asked": 1.0}), nk.Prompt("another lamp")]


@pytest.mark.parametrize(
    ("law", "spoilt"),
    [
        ("a_batch_in_any_order_equals_its_singles", lambda x, _: x.mean().expand(len(x), 2)),
        (
            "an_image_is_judged_as_its_file",
            lambda x, _: torch.stack([x[:, 0, 0, 0] % 2e-3 * 500, x[:, 0, 0, 0]], 1),
        ),
        ("it_says_something_in_its_range", lambda x, _: x.sum((2, 3))[:, :2]),
        ("it_says_something_in_its_range", lambda x, _: torch.full((len(x), 2), torch.nan)),
        (
            "it_reads_the_record_if_it_says_so",
            lambda x, p: torch.tensor([[float(len(one.metadata))] * 2 for one in p]),
        ),
    ],
)
def test_each_law_finds_its_fault(law: str, spoilt: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The 8-bit law cannot be broken through `__call__`, so there the rounding itself is taken away."""
    check = getattr(MetricConformance(), f"test_{law}")
    prompts = [nk.Prompt("a lamp", metadata={"asked": n}) for n in (0.5, 1, 0.7)]
    images = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    metric = Counted()
    check(metric, images, prompts)
    monkeypatch.setattr(Counted, "score", lambda self, x, p: spoilt(x, p))
    if "record" in law:
        monkeypatch.setattr(Counted, "reads_record", False)
        monkeypatch.setattr(Counted, "applies", classmethod(lambda cls, prompt: True))
    if "file" in law:
        monkeypatch.setattr(Counted, "__call__", lambda self, x, p: self.score(x, p))
    with pytest.raises(AssertionError):
        check(metric, images, prompts)


def test_a_metric_says_nothing_of_prompts_that_it_does_not_apply_to() -> None:
    table = nk.Evaluator(["counted", "truth"])(torch.full((2, 3, 32, 32), 0.5), PROMPTS)
    assert list(table.columns)[:2] == ["counted", "counted_asked"]
    assert table["counted"].round(2).tolist()[0] == 0.5 and table["counted"].isna().tolist() == [False, True]
    assert table["truth"].isna().all()
    assert Counted.judged == ["a lamp"]


def test_what_applies_is_known_before_anything_is_loaded() -> None:
    names = ["hps", "truth", "counted"]
    assert applicable(names, PROMPTS) == ["hps", "counted"]
    assert applicable(names, list(load_prompts("tiny", 1))) == ["hps", "truth"]
    assert Truth.info.ground_truth and not Counted.info.ground_truth


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("alias", "'alias' is a Counted, which calls itself 'counted'"),
        ("nothing", "'nothing' is .*which is no class of metrics"),
        ("contd", "unknown metric 'contd'; did you mean 'counted'"),
    ],
)
def test_a_metric_declared_wrongly_is_refused_in_a_sentence(name: str, says: str) -> None:
    with pytest.raises(BadValue, match=says):
        nk.load_metric(name)


def test_figures_of_another_shape_are_refused() -> None:
    with pytest.raises(
        BadValue, match=r"'counted' gave figures of shape \(1, 1\) for 1 images, not \(1, 2\)"
    ):
        Square()(torch.rand(1, 3, 8, 8), PROMPTS[:1])


def test_every_reward_is_a_metric_and_names_of_ours_stay_ours() -> None:
    assert set(registry.REWARDS) < set(registry.METRICS) and "truth" not in registry.REWARDS
    assert len(registry.checked_metrics(list(registry.METRICS))) == len(registry.METRICS)


def test_a_new_record_is_scored_anew_and_nothing_else_is(tmp_path: Path) -> None:
    """An image is known again by model, method, text and seed, a score by the record besides where the metric reads it."""

    def ask(first: float) -> list[str]:
        Counted.judged.clear()
        records = [{"prompt": "a red circle", "asked": first}, {"prompt": "two blue squares", "asked": 1}]
        (tmp_path / "asked.json").write_text(json.dumps(records))
        run = nk.compare(
            "tiny-turbo",
            "standard",
            str(tmp_path / "asked.json"),
            metrics=["counted", "color_red"],
            store=tmp_path / "run",
            progress=False,
        )
        assert run.frame()["counted_asked"].tolist() == [first, 1]
        assert run.metric_info["counted"] == Counted.info
        return Counted.judged

    assert ask(1) == ["a red circle", "two blue squares"]
    assert ask(1) == []
    assert ask(0.5) == ["a red circle"]
