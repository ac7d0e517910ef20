"""Pairs that a method makes: its own noises, a warning where a squared error learns nothing of them, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from noisekit.errors import BadValue, NotSupported
from noisekit.methods import load_method
from noisekit.methods.by_method import ByMethod, warn_unless_learnable
from noisekit.models.analytic import AnalyticModel
from noisekit.npnet.collect import collect

PROMPTS = ["a red circle", "two blue squares", "a green triangle", "three cyan circles", "a yellow square"]
MOVES = "reno(steps=3, rewards='color_red:1', weights='tiny')"
CHOOSES = "best_of(n=4, rewards='color_red:1', weights='tiny')"


@pytest.fixture
def model() -> AnalyticModel:
    return AnalyticModel(steps=1, batch=3)


@pytest.mark.parametrize("spec", [MOVES, f"then(inversion, {MOVES})", "cosine(steps=2)"])
def test_a_pair_is_what_the_method_finds_from_its_noise(
    model: AnalyticModel, spec: str, tmp_path: Path
) -> None:
    method = load_method(spec)
    pairs = collect(model, PROMPTS, range(2), tmp_path, recipe=ByMethod(method), shard=4)
    found = {
        (line["prompt"], line["seed"]): noise
        for shard in pairs.shards()
        for line, noise in zip(shard.lines, shard.tensors()["target"], strict=True)
    }
    result = method(model, PROMPTS, seeds=[0, 1])
    for prompt, seed, noise in zip(result.prompts, result.seeds, result.noise, strict=True):
        torch.testing.assert_close(found[prompt, seed], noise, atol=1e-5, rtol=1e-5)
    assert pairs.said("method") == str(method.resolved(model))
    assert len(collect(model, PROMPTS, range(2), tmp_path, recipe=ByMethod(method))) == 10
    with pytest.raises(BadValue, match="another method"):
        collect(model, PROMPTS, range(2), tmp_path, recipe=ByMethod(load_method(f"{MOVES[:-1]}, lr=3.0)")))


def test_noises_that_are_chosen_are_warned_of_and_those_that_are_moved_are_not(
    model: AnalyticModel, tmp_path: Path
) -> None:
    many = [f"{PROMPTS[i % 5]} {i}" for i in range(40)]
    chosen = collect(model, many, [0], tmp_path / "chosen", recipe=ByMethod(load_method(CHOOSES)))
    with pytest.warns(UserWarning, match="chosen rather than moved"):
        assert warn_unless_learnable(chosen) < 0.5
    moved = collect(model, many, [0], tmp_path / "moved", recipe=ByMethod(load_method(MOVES)))
    assert warn_unless_learnable(moved) > 0.5


def test_what_no_pair_can_hold_is_refused(model: AnalyticModel, tmp_path: Path) -> None:
    stochastic = AnalyticModel(steps=4, eta=1.0)
    with pytest.raises(NotSupported, match="pairs hold initial noises alone"):
        collect(
            stochastic,
            PROMPTS,
            [0],
            tmp_path,
            recipe=ByMethod(load_method("fk(particles=2, rewards='color_red:1')")),
        )
    with pytest.raises(NotSupported, match="stochastic"):
        collect(model, PROMPTS, [0], tmp_path, recipe=ByMethod(load_method("fk")))
    assert not list(tmp_path.iterdir())
