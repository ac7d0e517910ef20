"""A comparison led by control images: they count in the ids of models that follow them, and of no others."""

from pathlib import Path

import pytest
from PIL import Image

import noisekit as nk
from tests.pipelines import controlled_sdxl, sdxl


@pytest.mark.slow
def test_control_images_count_for_models_that_follow_them(tmp_path: Path) -> None:
    controlled_sdxl().save_pretrained(tmp_path / "led")
    sdxl().save_pretrained(tmp_path / "free")
    shapes = {"up": Image.linear_gradient("L"), "round": Image.radial_gradient("L")}
    settings = {"methods": "standard", "metrics": ["truth"], "store": tmp_path / "run", "progress": False}
    led, _ = models = [f"{tmp_path / name}(steps=1, guidance=0.0)" for name in ("led", "free")]
    up, around = (nk.ControlledPrompt("a red circle", shape) for shape in shapes.values())
    first = nk.compare(models, prompts=[up], **settings).frame()
    both = nk.compare(models, prompts=[around], **settings).frame()
    images = both.groupby(both["model"].str[:4])["image"].agg(set)
    assert len(images["free"]) == 1
    assert len(images["led("]) == 2
    assert set(first["image"]) < images["led("] | images["free"]
    told = both[both["model"].str.startswith("led")]["prompt"]
    assert len(told) == len(set(told)) == 2  # the text with another image is another prompt
    assert sum(text.startswith("a red circle · ") for text in told) == 2
    again = nk.compare(led, prompts=[up], **settings)
    assert set(again.frame()["image"]) == set(both["image"])
    assert again.summary().set_index("model")["n_prompts"].tolist() == [2, 1]
