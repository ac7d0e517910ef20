"""The hypernetwork that ships: made for the bundled one-step model, seen by no prompt of the suite, and worth its call."""

from __future__ import annotations

import pytest
import torch

from noisekit.hypernoise.artefact import artefact_hash, find_artefact, read_card
from noisekit.hypernoise.settings import RewardTraining
from noisekit.hypernoise.training import split
from noisekit.methods import load_method
from noisekit.models import load_model
from noisekit.npnet.pairs import fingerprint
from noisekit.rewards import load_reward
from noisekit.world.suite import suite, training_captions

NAME = "hypernoise/tiny-turbo"


@pytest.fixture(scope="module")
def turbo():
    return load_model("tiny-turbo", device="cpu")


def test_the_card_is_that_of_the_bundled_model(turbo):
    card = read_card(NAME)
    assert card["model"] == {"name": "tiny-turbo", "id": fingerprint(turbo.identity)}
    assert card["parameters"] == turbo.parameters
    assert RewardTraining(**card["training"]).optimised == card["optimised"]
    learnt, held_out = split(training_captions(), card["training"]["held_out"], card["training"]["seed"])
    assert card["prompts"] == {"learnt": len(learnt), "held_out": len(held_out)}
    assert not {*learnt, *held_out} & set(suite())
    assert str(load_method("hypernoise").resolved(turbo)) == f"hypernoise(artefact={NAME!r})"
    assert len(artefact_hash(find_artefact(NAME))) == 16


def test_it_raises_what_it_never_climbed_at_one_call_and_stays_near_the_noise(turbo):
    prompts = list(suite()[:100])
    before, after = (load_method(name)(turbo, prompts, seeds=[7]) for name in ("standard", "hypernoise"))
    assert after.cost.predictor == after.cost.denoiser == 1
    assert load_method("hypernoise").resolved(turbo).optimised >= {"hps", "image_reward"}
    for name in ("mps", "aesthetic"):
        gain = load_reward(name).judge(after.images, prompts) - load_reward(name).judge(
            before.images, prompts
        )
        assert gain.mean() > 2 * gain.std() / len(gain) ** 0.5
    cosine = torch.cosine_similarity(after.noise.flatten(1), after.initial.flatten(1))
    assert 0.8 < cosine.mean() < 0.999


@pytest.mark.slow
def test_the_benchmark_of_controls_runs(monkeypatch, capsys):
    from benchmarks import hypernoise

    monkeypatch.setattr("sys.argv", ["hypernoise.py", "--limit", "8", "--seeds", "1"])
    hypernoise.main()
    rows = capsys.readouterr().out.splitlines()
    assert [row.split(" | ")[0].strip("| ") for row in rows[2:]] == [
        *("standard", "Δ", "another prompt's", "another noise's", "the mean", "Δ at ε's length", "−Δ")
    ]
