"""The laws of every method, and what is DNO's own: normal noise is left alone, structure is punished, rewards rise."""

import math

import pytest
import torch

import noisekit as nk

pytest.register_assert_rewrite("noisekit.testing")

from noisekit_dno import log_p  # noqa: E402

from noisekit.testing import MethodConformance  # noqa: E402


class TestLaws(MethodConformance):
    @pytest.fixture
    def method(self):
        return nk.load_method("dno_initial(steps=2, lr=0.1, orders=3, rewards='aesthetic:1', weights='tiny')")


def test_normal_noise_is_at_the_bound_and_structure_is_not():
    noise = torch.randn(50, 256, generator=torch.Generator().manual_seed(0))
    assert log_p(noise).median() == pytest.approx(-2 * math.log(2))
    for structured in (noise + 1, noise * 2, noise[:, :128].repeat(1, 2).sort().values):
        assert log_p(structured).max() < -5


def test_the_reward_rises_on_the_one_step_model():
    model = nk.load_model("tiny-turbo")
    found = nk.load_method("dno_initial(steps=5)")(model, ["a red circle", "two green triangles"])
    first = torch.tensor(found.trace.points[0].score)
    assert (found.score > first).all()
    assert str(nk.load_method("dno_initial").resolved(model)).startswith("dno_initial(steps=20, lr=0.05, ")
