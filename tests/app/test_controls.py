"""The controls of every method: made from its fields, they say the method back, and take nothing that was not offered."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from noisekit import registry
from noisekit.app.controls import Control, budget, controls, expression, inside
from noisekit.app.offer import Offer, kind_of
from noisekit.errors import BadValue
from noisekit.methods import load_method
from noisekit.methods.parameters import settings
from noisekit.models.cards import cards
from noisekit.models.outline import outline
from noisekit.types import Budget

MODELS = ("tiny-turbo", "sdxl", "sdxl-turbo", "tiny")
OFFER = Offer.of(MODELS, ["npnet(artefact='runs/npnet')", "reno(steps=3)"], "runs")


@pytest.mark.parametrize("model", MODELS[:2])
@pytest.mark.parametrize("method", OFFER.methods)
def test_untouched_controls_are_the_method_itself(method: str, model: str) -> None:
    card = cards()[model]
    own = controls(method, card, OFFER)
    cls = type(load_method(method))
    assert [control.name for control in own] == list(settings(cls))
    text = expression(method, inside(method) or "", own, [_shown(control) for control in own])
    assert load_method(text) == load_method(method)
    resolved = load_method(method).resolved(outline(model))
    assert resolved.cost(outline(model)).calls > 0  # which the page says before anything is loaded
    for control in own:
        assert control.value == getattr(resolved, control.name), control
        assert settings(cls)[control.name].metadata["doc"] in control.about


@pytest.mark.parametrize("method", sorted(registry.METHODS))
def test_a_control_that_was_moved_is_in_the_method(method: str) -> None:
    """Each alone, to a value that its kind and range allow."""
    (text,) = [one for one in OFFER.methods if registry.parse(one).name == method][-1:]
    own = controls(text, cards()["tiny"], OFFER)
    for place, control in enumerate(own):
        moved = _moved(control, settings(type(load_method(text)))[control.name].metadata)
        shown = [_shown(other) for other in own]
        shown[place] = moved
        said = OFFER.method(expression(text, inside(text) or "", own, shown))
        assert getattr(said, control.name) == moved, (control, said)


def _shown(control: Control) -> Any:
    """What the page gives back of a control that nobody touched."""
    if control.kind == "text":
        return "" if control.value is None else str(control.value)
    return float(control.value) if control.kind == "whole" else control.value


def _moved(control: Control, facts: Any) -> Any:
    if control.kind == "switch":
        return not control.value
    if control.kind == "choice":
        return next(choice for choice in control.choices if choice != control.value)
    if control.kind in ("whole", "number"):
        step = 1 if control.kind == "whole" else 0.125
        return control.value - step if control.value + step > facts["at_most"] else control.value + step
    if control.name == "rewards":
        return "hps:2"
    if control.name in ("starts", "populations"):
        return f"{control.value} 1"
    return max(2, facts["at_least"]) if control.numeric else "cpu" if control.value != "cpu" else "cuda"


@pytest.mark.parametrize(
    ("shown", "sentence"),
    [
        ({"steps": 0.0}, "setting steps=0 of method 'reno' is out of range; give a value of at least 1"),
        ({"steps": 2.5}, "setting steps=2.5 of method 'reno' is not a whole number"),
        ({"momentum": 7.0}, "between 0 and 1"),
        ({"rewards": "nothing:1"}, "unknown reward"),
        ({"through_steps": "few"}, "setting through_steps='few' of method 'reno' is not a whole number"),
        ({"ball": "round"}, "is not one of"),
    ],
    ids=str,
)
def test_wrong_values_are_told_in_the_sentences_of_the_command_line(
    shown: dict[str, Any], sentence: str
) -> None:
    own = controls("reno", cards()["tiny-turbo"], OFFER)
    values = [shown.get(control.name, _shown(control)) for control in own]
    with pytest.raises(BadValue, match=sentence.replace("(", r"\(")):
        OFFER.method(expression("reno", "", own, values))


@pytest.mark.parametrize(
    "text",
    [
        "npnet(artefact='/etc')",
        "npnet(artefact='runs/other')",
        "golden_seeds(artefact='~/x')",
        "reno(weights='../weights')",
        "best_of(reno(weights='secrets'), n=2)",
        "then(npnet(artefact='x'), reno)",
        "transfer(reno, model='/models/sdxl')",
        "transfer(reno, model='owner/name')",
        "reno(rewards='../x')",
        "initno(subjects='/etc/passwd')",
        "npnet(svd_device='./cpu')",
    ],
)
def test_no_method_names_what_is_not_offered(text: str) -> None:
    with pytest.raises(BadValue, match=r"offers|path"):
        OFFER.method(text)


def test_what_is_offered_can_be_named() -> None:
    for text in (
        "npnet(artefact='runs/npnet')",
        "npnet(artefact='npnet')",
        "golden_seeds(artefact='golden_seeds/tiny')",
        "best_of(reno(weights='published'), n=2)",
        "transfer(reno, model='sdxl-turbo')",
    ):
        OFFER.method(text)


@pytest.mark.parametrize("method", sorted(registry.METHODS))
def test_a_setting_that_tells_of_files_says_what_it_names(method: str) -> None:
    """Or the page would take any path for it."""
    cls = registry.load("method", method, registry.METHODS)
    for name, field in settings(cls).items():
        if {"folder", "file", "path", "hub"} & set(re.findall(r"\w+", field.metadata["doc"])):
            assert kind_of(cls, name), name


@pytest.mark.parametrize(
    "name", ["", "..", "../x", "a/b", "/etc", "~", "a b", ".hidden", "x" * 65, "a\0", "a\n"]
)
def test_names_of_runs_lead_nowhere_else(name: str) -> None:
    with pytest.raises(BadValue):
        OFFER.new_folder(name)
    with pytest.raises(BadValue):
        OFFER.folder(name)


def test_models_that_are_none_are_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match="unknown model"):
        Offer.of(["sdxl-tubro"], [], tmp_path)
    with pytest.raises(BadValue, match="unknown method"):
        Offer.of([], ["renu"], tmp_path)
    with pytest.raises(BadValue, match="model of this app"):
        Offer.of(["tiny"], [], tmp_path).source("tiny-turbo")


@pytest.mark.parametrize(
    "limits", [{"seconds": "0"}, {"calls": "-1"}, {"candidates": "1.5"}, {"seconds": "nan"}, {"calls": "x"}]
)
def test_budgets_that_are_none_are_refused(limits: dict[str, str]) -> None:
    with pytest.raises(BadValue, match="budget"):
        budget(**limits)
    assert budget(seconds=" 2.5 ", calls="", candidates="3") == Budget(2.5, None, 3)
