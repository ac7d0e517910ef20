"""The conformance suite finds what it is there to find, and an installed package's methods and rewards are known by name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points

import pytest
import torch

from noisekit import registry
from noisekit.errors import BadValue
from noisekit.methods import NoiseMethod, load_method
from noisekit.methods.parameters import parameter
from noisekit.models.analytic import AnalyticModel
from noisekit.rewards import Reward, load_reward
from noisekit.testing import PROMPTS, MethodConformance, RewardConformance
from noisekit.types import Candidate, Cost


@dataclass(frozen=True)
class Damped(NoiseMethod):
    """A third party's method: shrinks the noise step by step and scores by closeness to the unit norm."""

    steps: int = parameter("candidates", default=3, at_least=1)

    name = "damped"

    @property
    def horizon(self) -> int:
        return self.steps

    def step_cost(self, model):
        return Cost()

    def search(self, model, prompts, source) -> Iterator[Candidate]:
        noise = source.initial
        for k in range(self.steps):
            yield Candidate(self.moved(noise, k), self.score(noise, k))

    def moved(self, noise, k):
        return noise * 0.9**k

    def score(self, noise, k):
        return noise.flatten(1).mean(1) + k


class TestDamped(MethodConformance):
    @pytest.fixture
    def method(self):
        return Damped()


@dataclass(frozen=True)
class Leaking(Damped):
    def moved(self, noise, k):
        return noise - noise.mean(0, keepdim=True)


@dataclass(frozen=True)
class Wide(Damped):
    def moved(self, noise, k):
        return (noise * 0.9**k).double()


@dataclass(frozen=True)
class Careless(Damped):
    def moved(self, noise, k):
        return noise.mul_(0.9)


@dataclass(frozen=True)
class Thrifty(Damped):
    def step_cost(self, model):
        return Cost(denoiser=1)


@dataclass(frozen=True)
class Short(Damped):
    @property
    def horizon(self) -> int:
        return self.steps + 1


@dataclass(frozen=True)
class Alien(Damped):
    """Shows the image of another noise than its own."""

    def delivers_images(self, model):
        return True

    def search(self, model, prompts, source) -> Iterator[Candidate]:
        for candidate in super().search(model, prompts, source):
            other = model.sample(candidate.noise + 1, model.encode(prompts))
            yield Candidate(candidate.noise, candidate.score, model.decode(other))


@dataclass(frozen=True)
class Graded(Damped):
    """Yields from inside a block that turns gradients on."""

    def search(self, model, prompts, source) -> Iterator[Candidate]:
        with torch.enable_grad():
            yield from super().search(model, prompts, source)


@dataclass(frozen=True)
class Fickle(Damped):
    def dependencies(self, _device):
        return {"object": id(object()), "draw": torch.rand(()).item()}


@pytest.mark.parametrize(
    ("method", "law"),
    [
        (Leaking, "a_batch_in_any_order_equals_its_singles"),
        (Wide, "the_noise_is_finite_and_of_the_models_shape"),
        (Careless, "the_initial_noise_is_left_as_it_was"),
        (Alien, "the_images_are_those_of_its_noise"),
        (Graded, "gradients_are_left_off_outside"),
        (Thrifty, "the_announced_cost_is_the_cost"),
        (Short, "the_search_is_as_long_as_its_horizon"),
        (Fickle, "what_decides_its_noise_can_be_hashed"),
    ],
)
def test_each_law_finds_its_fault(method, law):
    check = getattr(MethodConformance(), f"test_{law}")
    model = AnalyticModel(steps=1)
    arguments = (model,) if "hashed" in law else (model, PROMPTS)
    check(Damped(), *arguments)
    with pytest.raises(AssertionError):
        check(method(), *arguments)


class Whiteness(Reward):
    """A third party's reward without weights: the mean of all channels."""

    name, version, reads_prompt, formula, bounds = "whiteness", "mean", False, True, (0.0, 1.0)
    family = "none"

    def score(self, pixels, prompts):
        return pixels.mean((1, 2, 3))


whiteness = partial(Whiteness, None, "none", "cpu")


class TestWhiteness(RewardConformance):
    @pytest.fixture
    def reward(self):
        return whiteness()


class TestBundledRewards(RewardConformance):
    @pytest.fixture(params=["hps", "mps", "color_red"])
    def reward(self, request):
        return load_reward(request.param)


@pytest.mark.parametrize(
    ("law", "spoilt"),
    [
        ("a_batch_in_any_order_equals_its_singles", lambda pixels: pixels.mean((1, 2, 3)) - pixels.mean()),
        ("scores_are_finite_and_in_their_bounds", lambda pixels: pixels.sum((1, 2, 3))),
        (
            "the_gradient_is_that_of_the_score",
            lambda pixels: pixels.mean((1, 2, 3)) + 1e-2 * (pixels - pixels.detach()).sum((1, 2, 3)),
        ),
    ],
)
def test_each_law_of_rewards_finds_its_fault(law, spoilt, monkeypatch):
    check = getattr(RewardConformance(), f"test_{law}")
    images = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.4 + 0.3
    check(whiteness(), images, PROMPTS[:3])
    monkeypatch.setattr(Whiteness, "score", lambda self, pixels, prompts: spoilt(pixels))
    with pytest.raises(AssertionError):
        check(whiteness(), images, PROMPTS[:3])


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package that declares a method, one under a name of ours, and one that is not there."""
    facts = tmp_path / "theirs-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(
        "[noisekit.methods]\ndamped = tests_theirs:Damped\nreno = tests_theirs:ReNO\ngone = tests_theirs:Gone\n"
        "alias = tests_theirs:Damped\n"
    )
    (tmp_path / "tests_theirs.py").write_text("class Damped:\n    name = 'damped'\n")
    monkeypatch.syspath_prepend(tmp_path)


def test_an_installed_package_adds_methods_and_takes_no_name_of_ours(package):
    with pytest.warns(UserWarning, match="'tests_theirs:ReNO' wants the name 'reno'"):
        table = registry.with_installed(
            {"reno": "noisekit.methods.reno:ReNO"}, entry_points(group="noisekit.methods")
        )
    assert registry.load("method", "damped", table).__module__ == "tests_theirs"
    assert registry.load("method", "reno", table).__module__ == "noisekit.methods.reno"
    with pytest.raises(BadValue, match=r"'gone' cannot be imported from 'tests_theirs:Gone' .*reinstall"):
        registry.load("method", "gone", table)


def test_an_entry_point_has_the_name_that_its_class_has(package, monkeypatch):
    table = registry.with_installed({}, entry_points(group="noisekit.methods"))
    monkeypatch.setattr(registry, "METHODS", table)
    with pytest.raises(BadValue, match=r"'alias' is a Damped, which calls itself 'damped'.*entry point"):
        load_method("alias")


@pytest.mark.slow
def test_a_broken_law_shows_its_values(pytester_run):
    assert "assert 3 == (3 + 1)" in pytester_run or "assert 3 == 4" in pytester_run


@pytest.fixture
def pytester_run(tmp_path):
    """What pytest prints of a broken law in an author's own folder, far from this project's settings."""
    (tmp_path / "test_short.py").write_text(
        "import pytest\n"
        "pytest.register_assert_rewrite('noisekit.testing')\n"
        "from noisekit.testing import PROMPTS, MethodConformance\n"
        "from noisekit.methods import load_method\n"
        "from noisekit.methods.selection import Selection\n"
        "class Short(Selection):\n"
        "    horizon = property(lambda self: self.candidates + 1)\n"
        "    def search(self, *given):\n"
        "        yield from list(super().search(*given))[:-1]\n"
        "class TestShort(MethodConformance):\n"
        "    @pytest.fixture\n"
        "    def method(self):\n"
        "        return Short(candidates=3, round_trip_steps=2)\n"
    )
    law = "test_the_search_is_as_long_as_its_horizon"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", law, str(tmp_path)]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
