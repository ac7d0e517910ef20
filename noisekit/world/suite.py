"""The evaluation suite `tiny`: 250 prompts, fixed once and for all in suite.txt. Beside it, captions to train on.

The kinds take turns and each round of five prompts has exactly one with an unseen thing, so that every
multiple of five prompts from the start is balanced; every multiple of 25 is so within each kind too.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from noisekit.world.grammar import sample_scene

#: How many captions `training_captions` gives.
TRAINING_CAPTIONS = 4000


@cache
def suite() -> tuple[str, ...]:
    """The captions in their frozen order."""
    return tuple(Path(__file__).with_name("suite.txt").read_text(encoding="utf-8").splitlines())


@cache
def training_captions() -> tuple[str, ...]:
    """Distinct captions, drawn as those that the models were trained on: no held-out things, and none of the suite's."""
    rng, drawn = np.random.default_rng([0, 11]), dict.fromkeys(suite())
    while len(drawn) < len(suite()) + TRAINING_CAPTIONS:
        drawn[sample_scene(rng).caption] = None
    return tuple(drawn)[len(suite()) :]
