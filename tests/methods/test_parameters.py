"""Where a setting comes from when nobody gives it: the model's card, the method's own, the paper, its default."""

from dataclasses import dataclass, replace

import pytest

from noisekit import registry
from noisekit.errors import BadValue
from noisekit.methods import NoiseMethod, load_method
from noisekit.methods.parameters import parameter, settings
from noisekit.models.analytic import AnalyticModel
from noisekit.types import Cost

PLACES = ("given", "card", "own", "paper", "default")


@dataclass(frozen=True)
class Placed(NoiseMethod):
    paper: str = parameter("has a published value", paper="paper", default="default")
    plain: str = parameter("has none", default="default")

    name = "placed"
    cards = {"analytic": {"paper": "own", "plain": "own"}}
    horizon = 0

    def step_cost(self, model):
        return Cost()

    def search(self, model, prompts, source):
        return iter(())


def carded(card):
    model = AnalyticModel(steps=1)
    model.card = replace(model.card, name="analytic", methods={"placed": card} if card else {})
    return model


@pytest.mark.parametrize("setting", ["paper", "plain"])
def test_each_place_goes_before_the_next(setting, monkeypatch):
    with_card, bare = carded({setting: "card"}), carded({})
    assert getattr(Placed(**{setting: "given"}).resolved(with_card), setting) == "given"
    assert getattr(Placed().resolved(with_card), setting) == "card"
    assert getattr(Placed().resolved(bare), setting) == "own"
    monkeypatch.setattr(Placed, "cards", {})
    assert getattr(Placed().resolved(bare), setting) == ("paper" if setting == "paper" else "default")


def test_a_value_given_stands_though_it_is_the_default_that_a_card_replaces(monkeypatch):
    """Its string has to show it, or reading it back would take the card's."""
    monkeypatch.setattr(registry, "METHODS", registry.METHODS | {"placed": f"{__name__}:Placed"})
    monkeypatch.setattr(registry, "load", lambda *_: Placed)
    model = carded({})
    resolved = Placed(plain="default").resolved(model)
    assert resolved.plain == "default"
    assert str(resolved) == "placed(paper='own', plain='default')"
    assert load_method(str(resolved)).resolved(model) == resolved


def test_a_card_that_names_an_unknown_setting_is_refused():
    with pytest.raises(BadValue, match=r"'plan'.*did you mean 'plain'"):
        Placed().resolved(carded({"plan": "card"}))


@pytest.mark.parametrize("name", sorted(set(registry.METHODS) - {"then", "transfer"}))
def test_every_setting_of_every_method_resolves_from_a_card(name):
    """A card's value is never silently ignored, whatever kind of field it is for."""
    method = load_method(name)
    for setting, field in settings(type(method)).items():
        usual = field.metadata.get("paper", field.metadata["default"])
        if not isinstance(usual, bool | int | float):
            continue
        half = usual / 2 if usual / 2 >= field.metadata["at_least"] else usual * 2
        other = not usual if isinstance(usual, bool) else usual + 1 if isinstance(usual, int) else half
        model = AnalyticModel(steps=1)
        model.card = replace(model.card, methods={name: {setting: other}})
        assert getattr(method.resolved(model), setting) == other
