"""What a pipeline is, as far as it decides an image: part of a model's identity.

networks       class and configuration of each, what was changed in its layers since, and a hash of its weights
tokenizers     a hash over words, rules, specials, length and sides
scheduler      class and configuration, and what was changed on it since it was made of them
settings       the pipeline's own, such as what stands for no prompt
adapters       the strengths of LoRA layers that are neither off nor fused
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from noisekit.models.hashes import adapters, weights_hash
from noisekit.models.layout import IDLE
from noisekit.models.state import changes, plain, settings, tokenizer_state

#: The pipeline's settings about parts that no image depends on here, and about the size, which counts as it is asked for.
UNUSED = frozenset({"requires_safety_checker", "default_sample_size"})

#: What a scheduler holds that follows from the rest once timesteps are set, or from how far it has run.
RUNNING = frozenset({"_internal_dict", "timesteps", "sigmas", "is_scale_input_called"})


def describe(
    pipe: Any, networks: Mapping[str, torch.nn.Module], timed: Callable[[Any], Any]
) -> dict[str, Any]:
    """A pipeline as JSON values. timed: sets a scheduler's timesteps as the model does, and gives it back."""
    tokenizers = {name: part for name, part in pipe.components.items() if name.startswith("tokenizer")}
    return {
        "pipeline": type(pipe).__name__,
        "settings": pipeline_settings(pipe),
        **{name: tokenizer_state(part) for name, part in tokenizers.items() if part is not None},
        "weights": {name: weights_hash(network) for name, network in networks.items()},
        "networks": {
            name: {
                "class": type(network).__name__,
                "config": settings(network.config, type(network)),
                **_if_any("changed", changes(network)),
            }
            for name, network in networks.items()
        },
        **scheduler_state(pipe.scheduler, timed),
        **adapters(networks),
    }


def pipeline_settings(pipe: Any) -> dict[str, Any]:
    """The pipeline's configuration, and what else it notes about itself, but for its components."""
    parts = {*pipe.components, *IDLE, *UNUSED}
    noted = {
        name: plain(value)
        for name, value in vars(pipe).items()
        if name not in parts and not name.startswith("_")
    }
    return settings(pipe.config, type(pipe), without=parts) | noted


def scheduler_state(scheduler: Any, timed: Callable[[Any], Any]) -> dict[str, Any]:
    """Class and configuration, and what else tells it from one freshly made of them once timesteps are set.

    `set_shift` of flow matching writes no configuration, for one, nor does who replaces a scheduler's table of ā.
    """
    own = timed(copy.deepcopy(scheduler))
    fresh = vars(timed(type(scheduler).from_config(scheduler.config)))
    held = vars(own)
    changed = {
        name: plain(held[name])
        for name, value in fresh.items()
        if name not in RUNNING and not _alike(held.get(name), value)
    }
    return {
        "scheduler": [type(scheduler).__name__, settings(own.config, type(scheduler))],
        **_if_any("scheduler_changed", changed),
    }


def _if_any(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values} if values else {}


def _alike(own: Any, fresh: Any) -> bool:
    if isinstance(own, Tensor) and isinstance(fresh, Tensor):
        own, fresh = own.detach().cpu(), fresh.detach().cpu()
        return own.shape == fresh.shape and torch.allclose(own.double(), fresh.double(), equal_nan=True)
    # What is empty on a fresh one is filled on the way, anew each time.
    empty = fresh is None or (isinstance(fresh, list) and all(value is None for value in fresh))
    return empty or bool(plain(own) == plain(fresh))
