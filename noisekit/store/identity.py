"""Two identities: what was generated, and what was scored.

    setting    = hash(model and its weights, method with resolved values, version and dependencies, budget, noise)
    generation = hash(setting, prompt, seed)
    score      = hash(generation, metric and its weights)                   see `metrics.evaluator.Evaluator.score_id`

Hashes are `digest`s of resolved values. The batch is in none of them: an image does not depend on its batch.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from noisekit.hashing import digest
from noisekit.image_prompts import pixels_of
from noisekit.types import Budget, Convention

if TYPE_CHECKING:
    from noisekit.methods import NoiseMethod
    from noisekit.models.base import Model


def setting_fields(
    model: Model, method: NoiseMethod, budget: Budget, convention: Convention
) -> dict[str, Any]:
    """Everything that decides an image besides prompt and seed, as JSON values; `method` is resolved for the model.

    Loads what the method depends on, and so raises `CorruptWeights` where that is missing.
    """
    values = {"model": model.identity, "method": str(method), "version": method.version, "rewards": {}}
    values |= method.dependencies(model.device)
    limits = asdict(budget)
    if budget.equivalents is None:  # a limit of younger age than the identities of images made without it
        del limits["equivalents"]
    return values | {"budget": limits, "noise": convention}


def generation_id(setting: str, prompt: str, seed: int) -> str:
    """The hash of one image: its setting, its prompt, the pixels of its image included, and its seed."""
    image = {"control": pixels} if (pixels := pixels_of(prompt)) else {}
    return digest({"setting": setting, "prompt": prompt, "seed": seed, **image})
