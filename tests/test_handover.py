"""A found noise handed on: the script that is given makes the same image, with diffusers alone where that can be."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import noisekit as nk
from noisekit.errors import NotSupported
from noisekit.handover import NOISE, hand_over
from noisekit.image_prompts import ControlledPrompt
from noisekit.models.analytic import AnalyticModel
from noisekit.types import NoiseResult
from tests.pipelines import stable_diffusion

PROMPT = "a \"red\" circle, ré{d}\n and a 'blue' square"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "a stranger's"
    stable_diffusion("v_prediction").save_pretrained(path)
    return path


def made(
    model: nk.Model, result: NoiseResult, place: Path, monkeypatch: pytest.MonkeyPatch, sample: int = 0
) -> str:
    """Run the script where it was saved, compare its image with the result's, and give the script."""
    handed = hand_over(model, result, sample)
    handed.save_noise(place / NOISE)
    (place / "script.py").write_text(handed.script, encoding="utf-8")
    monkeypatch.chdir(place)
    runpy.run_path("script.py")
    with Image.open("image.png") as file:
        pixels = np.asarray(file.convert("RGB"), dtype=int)
    expected = (result.images[sample].clamp(0, 1) * 255).round().permute(1, 2, 0).numpy().astype(int)
    assert np.abs(pixels - expected).max() <= 1  # rounding moves single pixels by one level
    assert (pixels != expected).mean() < 0.05
    return handed.script


@pytest.mark.parametrize("scheduler", [None, "dpmpp_2m", "LCMScheduler"])
def test_diffusers_alone_makes_the_image_of_a_repository(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheduler: str | None
) -> None:
    model = nk.load_model(folder, steps=4, guidance=3.0, scheduler=scheduler)
    method = nk.load_method("random_search(steps=1, rewards='color_red:1')")
    result = method(model, [PROMPT, "two blue squares"], seeds=[3])
    script = made(model, result, tmp_path, monkeypatch, sample=0)
    assert "noisekit" not in "\n".join(script.splitlines()[1:])
    assert ("generator" in script) == (scheduler == "LCMScheduler")  # which draws fresh noise on its way


def test_parts_from_elsewhere_are_loaded_by_noisekit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = nk.load_model("tiny-turbo", guidance=0.5)
    result = nk.load_method("best_of(n=2)")(model, "a red circle")
    script = made(model, result, tmp_path, monkeypatch)
    assert "nk.load_model('tiny-turbo', guidance=0.5, device='cpu', dtype='float32').pipe" in script


@pytest.mark.parametrize("text", ["standard", "fk(particles=2, rewards='color_red:1')"])
def test_injected_noises_are_handed_on_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    model = nk.load_model("tiny(eta=1.0, steps=3)")
    result = nk.load_method(text)(model, "a red circle", seeds=[1])
    assert (result.injected is None) == (text == "standard")
    made(model, result, tmp_path, monkeypatch)


def test_another_noise_is_another_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the comparison above could not fail."""
    model = nk.load_model("tiny-turbo")
    result = nk.load_method("standard")(model, ["a red circle"], seeds=[0, 1])
    wrong = NoiseResult(**{**vars(result), "noise": result.noise.flip(0)})
    with pytest.raises(AssertionError):
        made(model, wrong, tmp_path, monkeypatch)


def test_what_no_script_can_load_is_refused() -> None:
    standard = nk.load_method("standard")
    exact = AnalyticModel()
    with pytest.raises(NotSupported, match="as an object"):
        hand_over(exact, standard(exact, "a red circle"))
    pipe = nk.load_model(stable_diffusion("epsilon"), steps=2)
    with pytest.raises(NotSupported, match="as an object"):
        hand_over(pipe, standard(pipe, "a red circle"))


def test_a_prompt_with_an_image_is_its_text_where_no_image_is_followed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = nk.load_model(folder, steps=2)
    prompt = ControlledPrompt("a red circle", Image.new("RGB", (8, 8)))
    made(model, nk.load_method("standard")(model, prompt), tmp_path, monkeypatch)


def test_the_noise_is_what_the_pipelines_own_argument_takes(folder: Path) -> None:
    model = nk.load_model(folder, steps=2)
    result = nk.load_method("standard")(model, ["a", "b"])
    assert torch.equal(hand_over(model, result, 1).tensors["latents"], model.pipe_latents(result.noise[1:]))
