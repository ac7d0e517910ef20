"""Train a noise hypernetwork on rewards, end to end through a one-step model (see `objective` for what is minimised).

prompts and noises of update u     drawn by (seed, u) alone, so that a training that was stopped goes on as if it had not
                                   been, and several processes share one batch
what is kept                       the average of the weights, θ̄ ← θ̄ + (1 − average)·(θ − θ̄), at its best on held-out
                                   prompts by the reward that is watched
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from noisekit import __version__
from noisekit.errors import BadValue
from noisekit.files import kept, only_writer
from noisekit.hypernoise.artefact import artefact_hash, begin_from, find_artefact, save_artefact
from noisekit.hypernoise.loop import Loop
from noisekit.hypernoise.objective import Objective
from noisekit.hypernoise.predictor import denoiser_model, untrained
from noisekit.hypernoise.settings import RewardTraining
from noisekit.models.base import Marker, Model
from noisekit.noise import NoiseSource
from noisekit.npnet.pairs import fingerprint
from noisekit.paths import given_path
from noisekit.rewards import load_reward, weighted_reward

#: Distinct prompts below which none can be held out.
FEWEST = 2


def train_on_rewards(
    model: Model,
    prompts: Sequence[str],
    out: str | Path,
    *,
    training: RewardTraining | None = None,
    weights: str = "tiny",
    start: str | Path | None = None,
    logs: bool = False,
    progress: bool = False,
) -> dict[str, Any]:
    """Train a hypernetwork of a model on rewards and write an artefact, which the method hypernoise takes.

    It is saved every so many updates, and the same call goes on from there, bit for bit on a CPU. Processes that `accelerate
    launch` or `torchrun` started share the batches, and learn what one process would.

    Args:
        model: whose images are rewarded; of one step and differentiable.
        prompts: to train on, some of which are held out.
        out: folder of the artefact.
        training: how (None: `RewardTraining()`).
        weights: of the rewards.
        start: an artefact whose network is trained further (None: begin anew).
        logs: whether to write events for TensorBoard into the folder.
        progress: whether to show a bar.

    Returns:
        The artefact's card.

    Raises:
        NotSupported: for a model that has not one step, or no denoiser that a network can be made of.
        BadValue: for too few prompts, where `out` holds another training, or `start` a network of another kind.
        Unwritable: on a full disk, or while another process trains into `out`.
    """
    training, folder = training or RewardTraining(), given_path(out)
    model.require("learn rewards", (Marker.DIFFERENTIABLE, Marker.ONE_STEP))
    learnt, held_out = split(prompts, training.held_out, training.seed)
    made = denoiser_model(model)
    objective, watched = objectives(model, training, weights)
    used = {name: load_reward(name, weights, model.device).identity for name in training.optimised}
    before = None if start is None else find_artefact(str(start))
    begun = {} if before is None else {"start": {"artefact": str(start), "hash": artefact_hash(before)}}
    asked = fingerprint(
        asdict(training) | begun | {"model": model.identity, "rewards": used, "prompts": [learnt, held_out]}
    )
    predictor = (
        untrained(made, training.network, training.rank, training.seed)
        if before is None
        else begin_from(before, made, training.network)
    )
    loop = Loop(objective, watched, predictor, training, folder, asked, logs=logs)
    with kept(folder), loop.together.alone(only_writer(folder)):
        seeds = NoiseSource(model.noise_shape, held_out, [0] * len(held_out), device=model.device)
        loop.run(learnt, held_out, seeds.initial, progress)
        card = {
            "model": {"name": model.name, "id": fingerprint(model.identity)},
            "trained": "rewards",
            **begun,
            "optimised": training.optimised,
            "rewards": used,
            "prompts": {"learnt": len(learnt), "held_out": len(held_out)},
            "training": asdict(training),
            "parameters": sum(p.numel() for p in predictor.parameters() if p.requires_grad),
            "held_out": {"standard": loop.standard, "kept": loop.best},
            "updates": loop.update,
            "minutes": round(loop.seconds / 60, 1),
            "versions": {"noisekit": __version__, "torch": torch.__version__},
        }
        loop.keep_best()
        if loop.together.first:
            save_artefact(folder, predictor, card)
    return card


def objectives(model: Model, training: RewardTraining, weights: str) -> tuple[Objective, Objective]:
    """What is climbed, and what is watched."""

    def of(expression: str) -> Objective:
        reward = weighted_reward(expression, weights=weights, device=model.device)
        return Objective(model, reward, training.form, training.strength, training.most)

    return of(training.rewards), of(training.watched or training.rewards)


def split(prompts: Sequence[str], most: int, seed: int) -> tuple[list[str], list[str]]:
    """Distinct prompts to learn from, and those held out: a tenth, at least one and at most so many."""
    texts = list(dict.fromkeys(prompts))
    if len(texts) < FEWEST:
        raise BadValue(f"{len(texts)} distinct prompts leave none to be held out; give more")
    number = min(most, max(1, len(texts) // 10))
    out = {texts[i] for i in np.random.default_rng(seed).permutation(len(texts))[:number]}
    return [text for text in texts if text not in out], [text for text in texts if text in out]
