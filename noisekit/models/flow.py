"""What flow-matching pipelines share: the time grid of their own ODE.

    x_σ = (1 − σ)·x_0 + σ·ε        the network predicts u = ε − x_0        x ← x + (σ′ − σ)·u        see `solvers.flow`

The levels are those that the pipeline's scheduler sets up. Where it shifts them by the size of the image, μ comes from the
number of image tokens, as the pipeline's own call computes it.
"""

from __future__ import annotations

from abc import ABC
from typing import Any, ClassVar

import torch

from noisekit.errors import BadValue, NotSupported
from noisekit.models.cards import Card
from noisekit.models.samplers import draws_on_the_way, gives_generators
from noisekit.models.transformer import TransformerModel
from noisekit.solvers import FlowGrid, flow_grid, shift_for


class FlowModel(TransformerModel, ABC):
    """A flow-matching pipeline: invertible by its own ODE, whatever solver samples it."""

    #: Whether the pipeline's call gives the scheduler the levels to shift: 1, 1 − 1/n … 1/n.
    even_levels: ClassVar[bool] = False

    def __init__(self, pipe: Any, card: Card) -> None:
        without_timesteps(card)
        scheduler = pipe.scheduler
        if not (type(scheduler).__name__.startswith("FlowMatch") or scheduler.config.get("use_flow_sigmas")):
            raise NotSupported(
                f"scheduler {type(scheduler).__name__} steps between the states of a diffusion model, and model "
                f"{card.name!r} is a flow; leave the scheduler out, or give FlowMatchEulerDiscreteScheduler"
            )
        if draws_on_the_way(scheduler) and not gives_generators(pipe):
            raise NotSupported(
                f"scheduler {type(scheduler).__name__} of model {card.name!r} draws noise at every step, and "
                f"{type(pipe).__name__} gives its steps no generator, so no seed would repeat an image; choose one that "
                "draws none"
            )
        super().__init__(pipe, card)

    def grid(self, steps: int) -> FlowGrid:
        return flow_grid(self.schedule(steps))

    def sampler_grid(self, steps: int) -> FlowGrid:
        return self.grid(steps)

    def timed(self, scheduler: Any, steps: int) -> Any:
        if steps == 1 and (last := scheduler.config.get("shift_terminal")):
            raise BadValue(
                f"the scheduler of model {self.name!r} ends on level {last} whatever the number of steps and cannot take "
                "steps=1; give steps=2 or more"
            )
        scheduler.set_timesteps(steps, device=self.device, **self.timing(scheduler.config, steps))
        return scheduler

    def timing(self, config: Any, steps: int) -> dict[str, Any]:
        """What the pipeline tells a scheduler of this configuration beside the number of steps."""
        told: dict[str, Any] = {"mu": self.shift(config, steps)} if config.get("use_dynamic_shifting") else {}
        if self.even_levels and not config.get("use_flow_sigmas"):
            told |= {"sigmas": torch.linspace(1, 1 / steps, steps).tolist()}
        return told

    def shift(self, config: Any, steps: int) -> float:
        """μ of dynamic shifting."""
        return shift_for(config, self.image_tokens)

    @property
    def image_tokens(self) -> int:
        """How many tokens the transformer makes of a latent."""
        _, height, width = self.noise_shape
        return (height // self.patch) * (width // self.patch)


def without_timesteps(card: Card) -> None:
    """Raise `BadValue` on a card that names timesteps, for models whose scheduler sets its own levels."""
    if card.timesteps is not None:
        raise BadValue(
            f"timesteps={list(card.timesteps)} of model {card.name!r} have no meaning: the levels of a flow follow from "
            "steps and the scheduler's shift; give steps instead"
        )
