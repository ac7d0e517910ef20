"""Checkpoints and stores that tests of runs share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from noisekit import registry
from noisekit.rewards import loading


@pytest.fixture
def brightness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Registers the reward "brightness" and returns the folder of its weights; the bundled embedding stays.

    The reward "glow" is the same number, to be read as a preference.
    """
    folder = tmp_path / "weights" / "brightness"
    folder.mkdir(parents=True)
    config = {
        "size": {"shortest_edge": 16},
        "crop_size": {"height": 16, "width": 16},
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(config))
    (folder.parent / "glow").symlink_to(folder)
    for name, toy in {"brightness": "Brightness", "glow": "Glow"}.items():
        monkeypatch.setitem(registry.REWARDS, name, f"tests.engine.toys:{toy}")  # type: ignore[arg-type]
    (folder.parent / "clip_score").symlink_to(loading.BUNDLED / "clip_score")
    monkeypatch.setattr(loading, "BUNDLED", folder.parent)
    return folder
