"""Samplers by short name, and the walk from noise to latents along one of them.

    x ← σ_0·ε;  for t in timesteps:  x ← step(u(scale(x, t), t), t, x)

which is the loop of every diffusers pipeline. A short name stands for a diffusers scheduler class and, where the class holds
several samplers, for the option that chooses it; the class names themselves are valid too. All of them take their betas,
spacing and prediction type from the scheduler that the model came with.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from noisekit.errors import BadValue, NotSupported, unknown
from noisekit.solvers import Denoiser

#: Samplers by short name: the diffusers class and the options that make it this sampler.
SAMPLERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "dpmpp_2m": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "dpmpp_sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "ddpm": ("DDPMScheduler", {}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "lcm": ("LCMScheduler", {}),
}

#: Samplers of consistency models, which diffusers lists as compatible with none.
CONSISTENCY = {"LCMScheduler", "TCDScheduler"}


def load_sampler(name: str, options: Mapping[str, Any], current: Any) -> Any:
    """The scheduler called `name` with `options`, and `current`'s betas, spacing and prediction type for the rest."""
    import diffusers

    cls, chosen = sampler_class(name, options, current)
    try:
        return getattr(diffusers, cls).from_config(current.config, **chosen)
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise BadValue(f"scheduler {name!r} needs a package that is not installed: {reason}") from None


def sampler_class(name: str, options: Mapping[str, Any], current: Any) -> tuple[str, dict[str, Any]]:
    """The diffusers class of the scheduler called `name`, and all options that it is given in the place of `current`."""
    classes = _classes(current)
    flow = "FlowMatchEulerDiscreteScheduler"
    samplers = {**SAMPLERS, "euler": (flow, {})} if flow in classes else SAMPLERS
    short = {key for key, (cls, _) in samplers.items() if cls in classes}
    if name not in classes | short:
        raise unknown("scheduler", name, classes | short)
    cls, chosen = samplers.get(name, (name, {}))
    return cls, dict(chosen) | dict(options)


def _classes(current: Any) -> set[str]:
    """The scheduler classes that step between the same states as `current`."""
    import diffusers

    own = {type(current).__name__}
    if current.config.get("prediction_type") == "flow_prediction":
        return own | {
            cls.__name__
            for cls in current.compatibles
            if _takes(cls.__init__, "use_flow_sigmas", "flow_shift")
        }
    if own & {"FlowMatchEulerDiscreteScheduler", "SCMScheduler"}:
        return own
    if own & CONSISTENCY:  # which know no others, though all those of the base model run
        current = diffusers.DDIMScheduler.from_config(current.config)
    return own | {cls.__name__ for cls in current.compatibles} | CONSISTENCY


def _takes(call: Any, *arguments: str) -> bool:
    return set(arguments) <= inspect.signature(call).parameters.keys()


def set_timesteps(scheduler: Any, steps: int, **where: Any) -> None:
    """Set a scheduler to so many steps; raise `BadValue` where it takes no such number."""
    try:
        scheduler.set_timesteps(steps, **where)
    except ValueError as error:
        reason = " ".join(str(error).split())[:200]
        raise BadValue(
            f"{type(scheduler).__name__} cannot take steps={steps} ({reason}); give another number or another scheduler"
        ) from None


def check_timesteps(scheduler: Any) -> None:
    """Raise `BadValue` unless a scheduler takes timesteps of the user's choice."""
    if not _takes(scheduler.set_timesteps, "timesteps"):
        raise BadValue(
            f"{type(scheduler).__name__} takes no timesteps of your choice; the samplers that do are euler, dpmpp_2m, "
            "dpmpp_sde, ddpm and lcm"
        )


def draws_on_the_way(scheduler: Any) -> bool:
    """Whether a scheduler with flow sigmas adds fresh noise at its steps."""
    config = scheduler.config
    return bool(config.get("stochastic_sampling")) or str(config.get("algorithm_type")).startswith("sde")


#: Samplers whose walk is the grid's own first-order step, to which η adds fresh noise.
TAKE_ETA = {"DDIMScheduler", "FlowMatchEulerDiscreteScheduler"}


def check_eta(scheduler: Any, eta: float, model: str) -> None:
    """Raise `NotSupported` where a model is to sample with η > 0 by a scheduler that has steps of another kind."""
    name, config = type(scheduler).__name__, scheduler.config
    if not eta or (
        name in TAKE_ETA
        and not draws_on_the_way(scheduler)
        and not any(config.get(bent) for bent in ("clip_sample", "thresholding", "invert_sigmas"))
    ):
        return
    raise NotSupported(
        f"eta={eta!r} of model {model!r} adds fresh noise to first-order steps, and {name} takes other ones, or bends them; "
        "it goes with scheduler='ddim' on a diffusion and FlowMatchEulerDiscreteScheduler on a flow, without clipping and "
        "noise of their own; leave eta out elsewhere"
    )


def gives_generators(pipe: Any) -> bool:
    """Whether a pipeline's own call hands its generators on to the steps of its scheduler."""
    return hasattr(pipe, "prepare_extra_step_kwargs")


def step_settings(pipe: Any) -> dict[str, Any]:
    """What a pipeline's own call gives to each step of its scheduler, by the call's default: η where both know it.

    Schedulers have defaults of their own, which the call overrides: TCD's η is 0.3, and pipelines say 0.
    """
    call, step = (inspect.signature(one).parameters for one in (type(pipe).__call__, pipe.scheduler.step))
    return {"eta": call["eta"].default} if "eta" in call and "eta" in step else {}


def walk(
    scheduler: Any,
    u: Denoiser,
    noise: Tensor,
    generators: Sequence[torch.Generator] | None = None,
    to: Literal["state", "clean"] = "state",
    visited: Tensor | None = None,
    **settings: Any,
) -> Tensor:
    """Latents (B, C, h, w) from unit-variance noise along a scheduler whose timesteps are set; it keeps its state.

    generators: one a sample, for samplers that draw fresh noise on the way. to: what the last step gives, its state or the
    clean sample that it predicted, where the scheduler tells it. visited: the timesteps, where they are not all.
    settings: of every step, see `step_settings`.
    """
    draws = _takes(scheduler.step, "generator")
    random = {"generator": list(generators)} if draws and generators is not None else {}
    x = noise * getattr(scheduler, "init_noise_sigma", 1.0)
    for t in scheduler.timesteps if visited is None else visited:
        scaled = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
        x, *predicted = scheduler.step(u(scaled, t), t, x, **random, **settings, return_dict=False)
    return predicted[0] if predicted and to == "clean" else x


def rehearse(scheduler: Any, zeros: Tensor, visited: Tensor, settings: Mapping[str, Any]) -> None:
    """Walk a copy of a scheduler over zeros, with a network that says nothing: a moment that shows what no list of settings
    could, that its tables fit each other and hold numbers.

    Raises whatever its steps raise, and `ValueError` where what comes out is not finite.
    """
    silent, random = copy.deepcopy(scheduler), [torch.Generator()]
    reached = walk(silent, lambda x, _: torch.zeros_like(x), zeros, random, visited=visited, **settings)
    if not torch.isfinite(reached).all():
        raise ValueError("its tables hold numbers that are not finite")
