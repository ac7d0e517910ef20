"""Which weights the rewards of a method have: its own, those of the run, or those that go with the model."""

import shutil
from itertools import product

import pytest
import torch

from noisekit import registry
from noisekit.errors import BadValue
from noisekit.methods import load_method
from noisekit.methods.rewarded import Rewarded
from noisekit.models.analytic import AnalyticModel
from noisekit.models.base import Marker
from noisekit.models.cards import cards
from noisekit.models.outline import Outline
from noisekit.rewards import BUNDLED, load_reward
from noisekit.types import Budget

SPEC = "reno(steps=3, lr=0.5, rewards='clip_score:1', weights={!r})"


def test_a_folder_of_checkpoints_gives_what_the_same_files_give_under_their_name(tmp_path):
    shutil.copytree(BUNDLED / "clip_score", tmp_path / "mine" / "clip_score")
    model, prompt = AnalyticModel(steps=1), "a red circle"
    usual = load_method(SPEC.format("tiny"))(model, prompt)
    for place in (tmp_path / "mine", tmp_path / "mine" / "clip_score"):
        mine = load_method(SPEC.format(str(place)))(model, prompt)
        torch.testing.assert_close(
            mine.noise, usual.noise, atol=1e-3, rtol=0
        )  # where memory lies moves the last digits
        torch.testing.assert_close(mine.score, usual.score, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ("tinny", "weights='tinny' of reward 'clip_score' is neither"),
        ("EMPTY", "holds no checkpoint of reward"),
    ],
)
def test_weights_that_are_nowhere_are_refused(tmp_path, weights, said):
    place = str(tmp_path) if weights == "EMPTY" else weights
    (tmp_path / "hps").mkdir()
    with pytest.raises(BadValue, match=said):
        load_method(SPEC.format(place))(AnalyticModel(steps=1), "a red circle")


REWARDED = [
    name for name in registry.METHODS if issubclass(registry.load("method", name, registry.METHODS), Rewarded)
]
AROUND = [
    "{}",
    "best_of({}, n=2)",
    "then(standard, {})",
    "then({}, best_of(then(inversion, {}), n=2))",
    "transfer({}, model='tiny-turbo')",
]
NESTED = [around.format(*[name] * 2) for around, name in product(AROUND, REWARDED)]


def weights_of(method, model):
    return {part.weights for part in method.resolved(model).parts if isinstance(part, Rewarded)}


@pytest.mark.parametrize("spec", NESTED)
def test_weights_of_the_run_reach_every_reward_that_is_climbed(spec):
    bundled, published = Outline(cards()["tiny-turbo"]), Outline(cards()["sdxl-turbo"])
    assert weights_of(load_method(spec), bundled) == {"tiny"}
    if "transfer" not in spec:
        assert weights_of(load_method(spec), published) == {"published"}
    for weights, model in product(("tiny", "published", "my/folder"), (bundled, published)):
        assert weights_of(load_method(spec, weights=weights), model) == {weights}
        assert weights_of(load_method(load_method(spec)).with_weights(weights), model) == {weights}
    for part in (
        load_method(spec, weights="tiny").resolved(published).parts
    ):  # the papers' sums, as far as tiny has them
        for name in part.climbed if isinstance(part, Rewarded) else ():
            assert load_reward(name, "tiny").weights == "tiny"


def test_weights_that_a_method_names_are_kept():
    spec = "best_of(reno(weights='published'), n=2)"
    resolved = load_method(spec, weights="tiny").resolved(Outline(cards()["tiny-turbo"]))
    assert (resolved.weights, resolved.method.weights) == ("tiny", "published")
    assert load_method(str(resolved)).resolved(Outline(cards()["sdxl-turbo"])) == resolved


@pytest.mark.parametrize("name", REWARDED)
def test_a_model_that_is_not_bundled_is_searched_with_tiny_rewards(name):
    model = AnalyticModel(size=16, steps=1, bundled=False)
    method = load_method(name, weights="tiny")
    if Marker.STOCHASTIC in method.resolved(model).needs:
        model = AnalyticModel(steps=2, eta=1.0, bundled=False)
    result = method(model, "a red circle", budget=Budget(candidates=2))
    assert torch.isfinite(result.score).all()
