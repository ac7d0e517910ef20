"""A comparison led by control images: they count in the ids of models that follow them, and of no others."""

from pathlib import Path

from PIL import Image

import noisekit as nk
from tests.pipelines import controlled_sdxl, sdxl


def test_control_images_count_for_models_that_follow_them(tmp_path: Path) -> None:
    controlled_sdxl().save_pretrained(tmp_path / "led")
    sdxl().save_pretrained(tmp_path / "free")
    shapes = {"up": Image.linear_gradient("L"), "round": Image.radial_gradient("L")}
    settings = {"methods": "standard", "metrics": ["clip_score"], "weights": "tiny", "progress": False}
    models = [f"{tmp_path / name}(steps=1, guidance=0.0)" for name in ("led", "free")]
    images = {}
    for name, shape in shapes.items():
        prompts = [nk.ControlledPrompt("a red circle", shape), nk.ControlledPrompt("two squares", shape)]
        run = nk.compare(models, prompts=prompts, store=tmp_path / name, **settings)
        frame = run.frame().set_index(["model", "prompt"])
        images[name] = {
            kind: set(frame.loc[f"{kind}(steps=1, guidance=0.0)"].image) for kind in ("led", "free")
        }
        assert len(frame) == 4
        again = nk.compare(models, prompts=prompts, store=tmp_path / name, **settings)
        assert set(again.frame().image) == set(frame.image)
    assert images["up"]["free"] == images["round"]["free"]
    assert not images["up"]["led"] & images["round"]["led"]
    other = [nk.ControlledPrompt("a red circle", shapes["round"])]
    both = nk.compare(models[:1], prompts=other, store=tmp_path / "up", **settings)
    told = both.frame().query("model.str.startswith('led')")["prompt"]
    assert len(told) == len(set(told)) == 3  # the text with another image is another prompt
    assert sum(text.startswith("a red circle · ") for text in told) == 2
    assert both.summary().set_index("model")["n_prompts"].tolist() == [3, 2]
