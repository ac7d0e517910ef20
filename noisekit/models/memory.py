"""Making a model fit: where its networks wait, and what is computed twice instead of kept.

    offload="model"        each network comes to the accelerator when it is called and leaves when the next one is
    offload="sequential"   each layer does; slowest, least memory
    slicing                the decoder takes one image at a time
    tiling                 large images are decoded in overlapping tiles: part of the identity, as it moves seams
    checkpointing          a gradient recomputes the inside of blocks instead of keeping it

None of them but tiling changes an image. Under an offload, a gradient recomputes whole networks: by the time it is asked
for, their weights have left the accelerator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from noisekit.errors import BadValue

Offload = Literal["none", "model", "sequential"]


@dataclass(frozen=True)
class Placement:
    """How a pipeline uses a device's memory. device: None for the first accelerator, else the CPU."""

    device: str | torch.device | None = None
    offload: Offload = "none"
    slicing: bool = False
    checkpointing: bool = False

    def __post_init__(self) -> None:
        if self.offload not in get_args(Offload):
            raise BadValue(f"offload={self.offload!r} is not one of {', '.join(get_args(Offload))}")

    @property
    def target(self) -> torch.device:
        """The device on which networks run."""
        try:
            device = torch.device(self.device or best_device())
            if self.device is not None:
                torch.empty(0, device=device)
        except (RuntimeError, AssertionError, TypeError):
            raise BadValue(f"device {str(self.device)!r} is not there; {best_device()!r} is") from None
        return device

    def move(self, pipe: Any) -> None:
        """Bring a pipeline to the device, or tell it when to."""
        device = self.target
        if self.offload != "none" and device.type == "cpu":
            raise BadValue(
                f"offload={self.offload!r} brings networks from the host to an accelerator, and the device is the host; "
                "leave it out"
            )
        if self.offload == "model":
            pipe.enable_model_cpu_offload(device=device)
        elif self.offload == "sequential":
            pipe.enable_sequential_cpu_offload(device=device)
        else:
            pipe.to(device)

    def arrange(self, pipe: Any, tiling: bool) -> None:
        """Turn slicing, tiling and checkpointing on in a pipeline; `BadValue` where its networks have none."""
        networks: list[Any] = [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
        for wanted, name in ((self.slicing, "enable_slicing"), (tiling, "enable_tiling")):
            if wanted:
                _method(pipe.vae, name)()
        if self.checkpointing:
            for network in networks:
                if getattr(network, "_supports_gradient_checkpointing", False):
                    network.enable_gradient_checkpointing()


def recomputed(call: Callable[..., Tensor], offloaded: bool) -> Callable[..., Tensor]:
    """`call`, whose inside a gradient computes a second time where networks are offloaded."""
    if not offloaded:
        return call

    def again(*inputs: Any) -> Tensor:
        if not torch.is_grad_enabled():
            return call(*inputs)
        output: Tensor = checkpoint(call, *inputs, use_reentrant=False)
        return output

    return again


def is_offloaded(network: torch.nn.Module) -> bool:
    """Whether a network comes to its device only when it is called, by whoever's will."""
    return hasattr(network, "_hf_hook")


def execution_device(pipe: Any, network: torch.nn.Module) -> torch.device:
    """Where a pipeline's networks run: where they lie, unless they wait elsewhere; `network` is one of them.

    To ask the pipeline takes milliseconds, as it looks through all layers for those that come when they are called. Layers
    wait in the host's memory for an accelerator, and where there is none they run where they are.
    """
    lies = next(network.parameters()).device
    waiting = is_offloaded(network) or (lies.type == "cpu" and best_device() != "cpu")
    return torch.device(pipe._execution_device) if waiting or lies.type == "meta" else lies


def best_device() -> str:
    """The first accelerator, else the CPU."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _method(vae: Any, name: str) -> Callable[[], None]:
    try:
        method: Callable[[], None] = getattr(vae, name)
    except AttributeError:
        raise BadValue(
            f"{type(vae).__name__} cannot {name.replace('_', ' ')}; leave that setting out"
        ) from None
    return method
