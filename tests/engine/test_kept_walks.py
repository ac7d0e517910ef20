"""Noises of whole walks are kept with their images, and make them again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from noisekit.comparison import compare
from noisekit.models.analytic import AnalyticModel
from noisekit.results import load_run

PROMPTS = ["a red circle", "two blue squares"]


@pytest.mark.parametrize("path", ["diffusion", "flow"])
def test_a_run_gives_back_all_noises_of_a_walk(path: str, tmp_path: Path) -> None:
    model = AnalyticModel(steps=4, eta=1.0, path=path)  # type: ignore[arg-type]
    methods = ["standard", "fk(particles=3, strength=300.0, rewards='aesthetic:1')"]
    given = {"metrics": ["aesthetic"], "progress": False, "weights": "tiny", "keep_noise": True}
    compare([model], methods, PROMPTS, store=tmp_path / "kept", **given)  # type: ignore[arg-type]
    run = load_run(tmp_path / "kept")
    assert len(run.frame()) == 4
    for row in run.frame().itertuples():
        injected, noise = run.injected(str(row.image)), run.noise(str(row.image))
        assert (injected is None) == (row.method == "standard")
        if injected is not None:
            latents = model.sample(noise[None], model.encode([str(row.prompt)]), injected=injected[None])
            again = model.decode(latents)[0]
            torch.testing.assert_close(again, run.image(str(row.image)), atol=1 / 254, rtol=0)
