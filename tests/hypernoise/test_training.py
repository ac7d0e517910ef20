"""Training on rewards: a known optimum is reached, nothing is lost by a stop, and several processes learn what one would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from noisekit.errors import BadValue, NotSupported
from noisekit.hypernoise import loop as looping
from noisekit.hypernoise.artefact import artefact_hash, begin_from, load_predictor, read_card
from noisekit.hypernoise.loop import Loop, drawn
from noisekit.hypernoise.objective import Objective
from noisekit.hypernoise.predictor import untrained
from noisekit.hypernoise.settings import RewardTraining
from noisekit.hypernoise.training import split, train_on_rewards
from noisekit.models import load_model
from noisekit.models.analytic import AnalyticModel
from noisekit.world.suite import training_captions

PROMPTS = training_captions()[:24]
FAST = RewardTraining(
    network="copy", rewards="hps:1", updates=4, batch=4, every=2, warm_up=1, decay=1, average=0.5, lr=1e-3
)


class Shift(nn.Module):
    """Δ = b, whatever the noise and the prompt."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(shape))

    def forward(self, noise: Tensor, _conditioning: Any) -> Tensor:
        return self.shift.expand_as(noise)


@pytest.mark.parametrize("form", ["mean", "sum"])
@pytest.mark.parametrize("strength", [1.0, 4.0])
def test_a_linear_reward_has_the_optimum_of_the_equation(form: Any, strength: float, tmp_path: Path) -> None:
    """x̂_0 = μ + Γ·(ε + Δ − …) with one Gaussian in one step, so the best Δ is Γ·w/λ, and d times that in the mean form."""
    model = AnalyticModel(size=2, components=1, steps=1, batch=32)
    w = torch.randn(1, 2, 2, generator=torch.Generator().manual_seed(3)) / 10

    def reward(images: Tensor, prompts: Any) -> Tensor:
        return (10 * (images[:, :1] - 0.5) * w).flatten(1).sum(1)

    a, s = model._level(model.grid(1).timestep(0))
    gamma = a * model.width**2 / (a**2 * model.width**2 + s**2)
    best = gamma * w / strength * (w.numel() if form == "mean" else 1)
    training = RewardTraining(
        form=form, strength=strength, optimiser="sgd", lr=0.2 / strength * (4 if form == "mean" else 1),
        clip=1e6, updates=120, batch=4, every=120, warm_up=0, decay=60, average=0.0,
    )  # fmt: skip
    objective = Objective(model, reward, form, strength)
    shift = Shift(model.noise_shape)
    loop = Loop(objective, objective, shift, training, tmp_path, "asked")
    loop.run(PROMPTS, PROMPTS[:2], torch.zeros(2, *model.noise_shape), False)
    assert (shift.shift - best).norm() < 0.01 * best.norm()
    assert loop.best["squared"] == pytest.approx(shift.shift.square().mean().item(), rel=1e-5)


@pytest.fixture(scope="module")
def turbo() -> Any:
    return load_model("tiny-turbo", device="cpu")


@pytest.fixture(scope="module")
def whole(turbo: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hypernoise") / "whole"
    train_on_rewards(turbo, PROMPTS, folder, training=FAST, logs=True)
    return folder


def test_what_is_trained_raises_the_reward_and_says_how_it_was_made(turbo: Any, whole: Path) -> None:
    assert list((whole / "logs").glob("events.*"))
    card = read_card(str(whole))
    assert card["optimised"] == ["hps"]
    assert card["prompts"] == {"learnt": len(PROMPTS) - 2, "held_out": 2}
    predictor = load_predictor(whole, turbo)
    learnt, _ = split(PROMPTS, FAST.held_out, FAST.seed)
    prompts, noise = drawn(learnt, turbo.noise_shape, 16, seed=1, update=0)
    from noisekit.hypernoise.training import objectives

    climbed, _ = objectives(turbo, FAST, "tiny")
    before, after = (climbed.judged(f, prompts, noise, 16).reward.mean() for f in (None, predictor))
    assert after > before + 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["copy", "lora"])
def test_a_network_is_trained_further(turbo: Any, kind: Any, tmp_path: Path) -> None:
    first, further = tmp_path / "first", tmp_path / "further"
    one = replace(FAST, network=kind, rank=2, updates=1, every=1)
    train_on_rewards(turbo, PROMPTS, first, training=one)
    begun, loaded = begin_from(first, turbo, kind), load_predictor(first, turbo)
    prompts, noise = drawn(PROMPTS, turbo.noise_shape, 4, seed=1, update=0)
    assert torch.equal(begun(noise, turbo.encode(prompts)), loaded(noise, turbo.encode(prompts)))
    trained = {name for name, own in begun.named_parameters() if own.requires_grad}
    assert trained == {
        name for name, own in untrained(turbo, kind, 2).named_parameters() if own.requires_grad
    }
    card = train_on_rewards(turbo, PROMPTS, further, training=replace(one, lr=1e-9), start=first)
    assert card["start"] == {"artefact": str(first), "hash": artefact_hash(first)}
    kept = load_predictor(further, turbo)(noise, turbo.encode(prompts))
    torch.testing.assert_close(kept, loaded(noise, turbo.encode(prompts)), atol=1e-4, rtol=1e-4)
    with pytest.raises(BadValue, match="holds a training with other settings"):
        train_on_rewards(turbo, PROMPTS, first, training=one, start=further)
    other: Any = "copy" if kind == "lora" else "lora"
    with pytest.raises(BadValue, match=f"a network of kind '{kind}'"):
        train_on_rewards(turbo, PROMPTS, tmp_path / "x", training=replace(one, network=other), start=first)


def test_a_training_that_was_stopped_ends_as_the_whole_one(
    turbo: Any, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Loop._step

    def stopped(self: Loop, learnt: Any) -> Any:
        if self.update == 3:  # one update after what was saved
            raise KeyboardInterrupt
        return step(self, learnt)

    monkeypatch.setattr(Loop, "_step", stopped)
    with pytest.raises(KeyboardInterrupt):
        train_on_rewards(turbo, PROMPTS, tmp_path, training=FAST)
    assert not (tmp_path / "card.json").exists()
    monkeypatch.setattr(Loop, "_step", step)
    train_on_rewards(turbo, PROMPTS, tmp_path, training=FAST)
    for name in ("config.json", "diffusion_pytorch_model.safetensors"):
        assert (tmp_path / name).read_bytes() == (whole / name).read_bytes()
    monkeypatch.setattr(Loop, "_step", lambda *_: pytest.fail("trained again"))
    cards = [json.loads((folder / "card.json").read_text()) for folder in (tmp_path, whole)]
    assert cards[0]["held_out"] == cards[1]["held_out"]
    with pytest.raises(BadValue, match="other settings"):
        train_on_rewards(turbo, PROMPTS, tmp_path, training=replace(FAST, lr=1.0))


def test_parts_of_a_batch_give_what_the_batch_gives(turbo: Any, tmp_path: Path) -> None:
    training = replace(FAST, updates=1, every=1)
    kept = []
    for parts in (1, 2):
        folder = tmp_path / str(parts)
        train_on_rewards(turbo, PROMPTS, folder, training=replace(training, accumulate=parts))
        kept.append(torch.load(folder / looping.STATE, weights_only=True)["weights"])
    moved = [(kept[0][name] - kept[1][name]).abs().max() for name in kept[0] if "conv_out" not in name]
    assert max(moved) < 1e-4
    assert max(kept[0]["network.conv_out.weight"].abs().max() for _ in "a") > 5e-4  # it moved at all


def test_it_ends_when_held_out_prompts_gain_no_more(turbo: Any, tmp_path: Path) -> None:
    """The watched reward is another one, and what is kept is what it liked best."""
    training = replace(FAST, updates=50, every=1, patience=2, watched="color_red:1", lr=1e-9)
    card = train_on_rewards(turbo, PROMPTS, tmp_path, training=training)
    assert card["updates"] < 10
    assert card["optimised"] == ["color_red", "hps"]
    assert card["held_out"]["kept"]["update"] <= card["updates"] - 2


@pytest.mark.parametrize("kind", ["copy", "lora"])
def test_an_untrained_network_changes_nothing_and_takes_nothing_from_the_model(turbo: Any, kind: Any) -> None:
    before = turbo.identity
    predictor = untrained(turbo, kind, rank=4)
    noise = torch.randn(2, *turbo.noise_shape, generator=torch.Generator().manual_seed(0))
    assert predictor(noise, turbo.encode(PROMPTS[:2])).abs().max() == 0
    trained = [own for own in predictor.parameters() if own.requires_grad]
    assert trained
    if kind == "lora":
        held = {tensor.data_ptr() for tensor in turbo.denoiser.parameters()}
        frozen = [
            own
            for name, own in predictor.named_parameters()
            if not own.requires_grad and "conv_out" not in name
        ]
        assert all(own.data_ptr() in held for own in frozen)
    with torch.no_grad():
        for own in trained:
            own.add_(0.1)
    assert predictor(noise, turbo.encode(PROMPTS[:2])).abs().max() > 0
    assert turbo.identity == before


WRONG: dict[str, dict[str, Any]] = {
    "updates=0": {"updates": 0},
    "network='cop'": {"network": "cop"},
    "form='max'": {"form": "max"},
    "lr=0": {"lr": 0},
    "clip=inf": {"clip": float("inf")},
    "average=1": {"average": 1},
    "patience=0": {"patience": 0},
    "accumulate=3": {"accumulate": 3},
    "hsp": {"rewards": "hsp:1"},
    "optimiser='adam'": {"optimiser": "adam"},
    "precision='half'": {"precision": "half"},
    "strength=-1": {"strength": -1},
}


@pytest.mark.parametrize("said", sorted(WRONG))
def test_settings_that_are_none_are_named(said: str) -> None:
    with pytest.raises(BadValue, match=said):
        RewardTraining(**WRONG[said])


def test_models_and_prompts_that_will_not_do_are_named(turbo: Any, tmp_path: Path) -> None:
    with pytest.raises(NotSupported, match="one-step"):
        train_on_rewards(load_model("tiny", device="cpu"), PROMPTS, tmp_path / "a")
    with pytest.raises(NotSupported, match="no denoiser of diffusers"):
        train_on_rewards(AnalyticModel(steps=1), PROMPTS, tmp_path / "a", training=FAST)
    with pytest.raises(BadValue, match="1 distinct prompts"):
        train_on_rewards(turbo, PROMPTS[:1] * 3, tmp_path / "a", training=FAST)


#: Trains and prints the losses; the processes that torchrun would start are started by hand.
SCRIPT = """
import json, sys
import torch
torch.set_num_threads(1)
from noisekit.models import load_model
from tests.hypernoise.test_training import FAST, PROMPTS
from noisekit.hypernoise.training import train_on_rewards
card = train_on_rewards(load_model("tiny-turbo", device="cpu"), PROMPTS, sys.argv[1], training=FAST)
"""


@pytest.mark.slow
def test_two_processes_learn_what_one_does(whole: Path, tmp_path: Path, root: Path) -> None:
    """Gradients are averaged by gloo, so that losses agree to rounding."""
    shared = {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "29531",
        "ACCELERATE_USE_CPU": "true",
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path)],
            cwd=root,
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in (0, 1)
    ]
    assert [process.wait(timeout=600) for process in started] == [0, 0]
    one, two = (torch.load(folder / looping.STATE, weights_only=True) for folder in (whole, tmp_path))
    assert len(two["history"]) == len(one["history"]) == 2
    for first, second in zip(one["history"], two["history"], strict=True):
        assert first == pytest.approx(second, rel=2e-4, abs=2e-4)
