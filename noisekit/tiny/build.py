"""Rebuilds the bundled weights, stage after stage; a stage whose output is there is skipped."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from noisekit.errors import BadValue
from noisekit.files import kept
from noisekit.tiny import (
    aesthetic,
    clip,
    data,
    denoiser,
    hps,
    image_reward,
    mps,
    orbit,
    pick_score,
    pictures,
    turbo,
    vae,
)
from noisekit.tiny.recipe import Recipe


def _data(work: Path, out: Path, recipe: Recipe) -> None:
    data.build(work, recipe)


STAGES: dict[str, Callable[[Path, Path, Recipe], None]] = {
    "data": _data,
    "vae": vae.build,
    "denoiser": denoiser.build,
    "pairs": turbo.build_pairs,
    "turbo": turbo.build,
    "pictures": pictures.build,
    "clip": clip.build,
    "aesthetic": aesthetic.build,
    "hps": hps.build,
    "pick_score": pick_score.build,
    "image_reward": image_reward.build,
    "mps": mps.build,
    "orbit": orbit.build,
}


def build(stage: str | None, work: Path, out: Path, recipe: Recipe | None = None) -> None:
    """Runs one stage, or all of them in order. work: for data and checkpoints; out: for the weights."""
    if stage is not None and stage not in STAGES:
        raise BadValue(f"unknown stage {stage!r}: use one of {', '.join(STAGES)}")
    for name in [stage] if stage else STAGES:
        with kept(Path(work), f"stage {name!r} of folder"):
            STAGES[name](Path(work), Path(out), recipe or Recipe())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", choices=list(STAGES))
    parser.add_argument("--work", type=Path, default=Path("build/tiny"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "weights")
    options = parser.parse_args()
    build(options.stage, options.work, options.out)
