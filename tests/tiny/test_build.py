"""Every stage runs at a tiny size, is skipped when its output is there, and goes on where it was stopped."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from noisekit import registry
from noisekit.errors import Unwritable
from noisekit.tiny import train
from noisekit.tiny.build import STAGES, build
from noisekit.tiny.recipe import SMOKE
from noisekit.tiny.train import fit, generator
from noisekit.tiny.workers import Crew
from tests.test_files import room


@pytest.mark.slow
def test_all_stages_build_loadable_weights_and_are_skipped_the_second_time(tmp_path):
    torch.set_num_threads(1)
    work, out = tmp_path / "work", tmp_path / "out"
    build(None, work, out, SMOKE)
    for name in ("tiny/model_index.json", "tiny-turbo/unet/config.json", "clip_score/config.json"):
        assert (out / name).exists()
    assert (out / "aesthetic" / "head.safetensors").exists()
    for name in ("hps", "pick_score", "image_reward", "mps"):
        reward = registry.load("reward", name, registry.REWARDS).from_folder(out / name)
        assert reward(torch.rand(2, 3, 32, 32), ["a red circle", "two red circles"]).isfinite().all()
    assert not [path for path in out.rglob("*.json") if str(tmp_path) in path.read_text()]
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    build(None, work, out, SMOKE)
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}


def test_an_unknown_stage_is_named(tmp_path):
    with pytest.raises(ValueError, match=f"unknown stage 'nonsense': use one of {next(iter(STAGES))}"):
        build("nonsense", tmp_path, tmp_path, SMOKE)


class Stop(Exception):
    pass


def descend(state, stop_at=None):
    """Fits a line with a loss that depends on the generator, and may stop in the middle."""
    weight = torch.nn.Parameter(torch.zeros(3))
    seen: list[float] = []

    def loss(draws):
        if stop_at is not None and len(seen) == stop_at:
            raise Stop
        x = torch.randn(8, 3, generator=draws)
        seen.append(float(x[0, 0]))
        value = ((x @ (weight - torch.tensor([1.0, -2.0, 0.5]))) ** 2).mean()
        return value, value.item()

    fit(Crew(), [weight], loss, steps=100, rate=0.1, seed=3, state=state, title="line")
    return weight.detach(), seen


def test_a_killed_stage_goes_on_as_if_nothing_had_happened(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "SAVE_EVERY", 0.0)
    whole, batches = descend(tmp_path / "whole.pt")
    with pytest.raises(Stop):
        descend(tmp_path / "part.pt", stop_at=50)
    resumed, rest = descend(tmp_path / "part.pt")
    assert rest == batches[40:]  # the last checkpoint was written after step 40
    torch.testing.assert_close(resumed, whole)
    again, none = descend(tmp_path / "part.pt")
    assert none == [] and torch.equal(again, resumed)


def test_generators_differ_by_key():
    draws = {float(torch.rand((), generator=generator(*key))) for key in np.ndindex(3, 3, 3)}
    assert len(draws) == 27


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_full_disk_ends_a_stage_in_a_sentence_and_it_goes_on(workers, tmp_path):
    recipe = replace(SMOKE, workers=workers)
    with (
        room(1000),
        pytest.raises(Unwritable, match=r"stage 'data' of folder .* cannot be written: File too large"),
    ):
        build("data", tmp_path, tmp_path, recipe)
    build("data", tmp_path, tmp_path, recipe)
    assert all(np.load(path)["quality"].size for path in (tmp_path / "data").glob("*.npz"))


def test_a_full_disk_leaves_the_checkpoint_of_a_stage_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "SAVE_EVERY", 0.0)
    state = tmp_path / "line.pt"
    with pytest.raises(Stop):
        descend(state, stop_at=40)
    before = state.read_bytes()
    with room(len(before) // 2), pytest.raises(OSError, match="File too large"):
        descend(state)
    assert state.read_bytes() == before
    weight, _ = descend(state)
    assert torch.equal(weight, descend(tmp_path / "whole.pt")[0])
