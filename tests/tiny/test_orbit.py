"""The stage that trains a model of turns: it runs at a tiny size, loads as any model, and is told what it learnt from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from noisekit.models import load_model
from noisekit.prompts import load_prompts
from noisekit.tiny import orbit
from noisekit.tiny.build import build
from noisekit.tiny.recipe import SMOKE
from noisekit.tiny.train import generator


@pytest.mark.slow
def test_the_stage_makes_a_model_of_turns_and_is_skipped_the_second_time(tmp_path: Path) -> None:
    work, out = tmp_path / "work", tmp_path / "out"
    build("orbit", work, out, SMOKE)
    model = load_model(out / "tiny-orbit", size=32, steps=1, guidance=2.5)
    assert model.noise_shape == (orbit.FRAMES, 4, 8, 8)
    assert model.numbers == [orbit.AUGMENTATION]
    (prompt,) = load_prompts("turntable", 1).texts
    conditioning = model.encode([prompt])
    # The token and the latent are what training gave the network: the mode of the picture, and the tower's eye on it.
    picture = torch.tensor(list(prompt.image.tobytes())).view(32, 32, 3).permute(2, 0, 1)[None] / 127.5 - 1
    mode = model.pipe.vae.encode(picture).latent_dist.mode()
    torch.testing.assert_close(conditioning.added["image"][0], mode, atol=1e-3, rtol=0)
    read = torch.nn.functional.interpolate(picture, (224, 224), mode="bicubic", align_corners=True) / 2 + 0.5
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in orbit._normalisation())
    token = model.pipe.image_encoder((read - mean) / deviation).image_embeds
    torch.testing.assert_close(conditioning.positive[:, 0], token, atol=1e-2, rtol=0)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    build("orbit", work, out, SMOKE)
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert not [path for path in out.rglob("*.json") if str(tmp_path) in path.read_text()]


def test_training_visits_all_levels_of_the_sampler() -> None:
    """From the least σ to the largest, half of them within a factor of three of e."""
    drawn = orbit.sigmas(generator(0), 4000)
    assert drawn.min() == torch.tensor(orbit.SIGMA_MIN)
    assert drawn.max() == torch.tensor(orbit.SIGMA_MAX)
    near = ((drawn.log() - 1).abs() < 1.1).float().mean()
    assert 0.4 < near < 0.6
