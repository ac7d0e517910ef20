"""The stage that trains a model of turns: it runs at a tiny size, loads as any model, and is told what it learnt from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.transforms.functional import to_tensor

from noisekit.methods import load_method
from noisekit.metrics import load_metric
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


def test_the_bundled_model_turns_the_thing_that_it_is_shown() -> None:
    """Its views are nearer to the thing's own than to another's, and nearer than the picture that it was given, held still;
    nothing of that does a model whose weights say nothing.
    """
    prompts = list(load_prompts("turntable", 6))
    model = load_model("tiny-orbit", steps=5)
    assert model.noise_shape == (orbit.FRAMES, 4, 8, 8)
    texts = [prompt.text for prompt in prompts]
    made = load_method("standard")(model, texts, seeds=[5]).images
    assert made.shape == (6, orbit.FRAMES, 3, 32, 32)
    judge = load_metric("psnr")
    own, others = judge(made, prompts)[:, 0], judge(made, prompts[1:] + prompts[:1])[:, 0]
    shown = torch.stack([to_tensor(text.image) for text in texts])
    still = judge(shown[:, None].expand(-1, orbit.FRAMES, -1, -1, -1), prompts)[:, 0]
    assert (own > others + 1).all()
    assert own.mean() > still.mean() + 0.5
    # The last frame is the picture itself, seen from where it was.
    assert (made[:, -1] - shown).abs().mean() < 0.1


def test_training_visits_all_levels_of_the_sampler() -> None:
    """From the least σ to the largest, half of them within a factor of three of e."""
    drawn = orbit.sigmas(generator(0), 4000)
    assert drawn.min() == torch.tensor(orbit.SIGMA_MIN)
    assert drawn.max() == torch.tensor(orbit.SIGMA_MAX)
    near = ((drawn.log() - 1).abs() < 1.1).float().mean()
    assert 0.4 < near < 0.6
