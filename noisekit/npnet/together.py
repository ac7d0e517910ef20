"""Several processes that train one network, as `accelerate launch` or `torchrun` started them, or a single one.

All of them draw the same batch, each computes the loss of its share, and before a step gradients are averaged

    g = Σ_p n_p·g_p / Σ_p n_p        n_p samples of process p, g_p the gradient of their mean loss

so that all hold the same weights at all times, those which one process would have to rounding. Only the first one writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noisekit.errors import NotSupported


class Together:
    """The processes of a training.

    Args:
        device: of this one's networks.
        precision: what they compute in inside `autocast`: "no" (fp32), "bf16" or "fp16".
        logs: folder for events of TensorBoard, or None.

    Raises:
        NotSupported: where events are wanted and what writes them is not installed.
    """

    def __init__(self, device: torch.device, precision: str = "no", logs: Path | None = None) -> None:
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState
        from accelerate.utils import is_tensorboard_available

        if logs is not None and not is_tensorboard_available():
            raise NotSupported(
                "events for TensorBoard need a package that is not installed; install noisekit[logs], or leave --logs out"
            )
        AcceleratorState._reset_state()  # that of a training before this one
        self._own = Accelerator(
            mixed_precision=precision,
            cpu=device.type == "cpu",
            log_with=None if logs is None else "tensorboard",
            project_dir=None if logs is None else str(logs),
        )
        if logs is not None:
            self._own.init_trackers("logs")

    @property
    def number(self) -> int:
        return int(self._own.num_processes)

    @property
    def first(self) -> bool:
        return bool(self._own.is_main_process)

    def alone(self, writer: AbstractContextManager[None]) -> AbstractContextManager[None]:
        """`writer` for the process that writes, nothing for the others."""
        return writer if self.first else nullcontext()

    def share(self, samples: int) -> slice:
        """Which of so many samples are this process's."""
        n, p = self.number, int(self._own.process_index)
        return slice(samples * p // n, samples * (p + 1) // n)

    def optimiser(self, optimiser: torch.optim.Optimizer) -> Any:
        """An optimiser whose steps know of the precision."""
        return self._own.prepare_optimizer(optimiser)

    def autocast(self) -> Any:
        return self._own.autocast()

    def backward(self, loss: Tensor) -> None:
        self._own.backward(loss)

    def average_gradients(self, weights: Sequence[Tensor], samples: int) -> None:
        """Give all processes the gradient of the whole batch, of which this one saw so many samples."""
        if self.number > 1:
            own = [torch.zeros_like(w) if w.grad is None else w.grad for w in weights]
            flat = torch.cat(
                [*(samples * gradient.flatten() for gradient in own), own[0].new_tensor([samples])]
            )
            flat = self._own.reduce(flat, reduction="sum")
            parts = (flat[:-1] / flat[-1]).split([gradient.numel() for gradient in own])
            for weight, gradient, part in zip(weights, own, parts, strict=True):
                weight.grad = gradient.copy_(part.view_as(gradient))

    def clip(self, weights: Sequence[Tensor], norm: float) -> None:
        self._own.clip_grad_norm_(weights, norm)

    def total(self, values: Tensor) -> Tensor:
        """The sum of what all processes give."""
        return self._own.reduce(values, reduction="sum")

    @property
    def scale(self) -> dict[str, Any]:
        """What fp16 multiplies losses by, as it is saved."""
        return {} if self._own.scaler is None else self._own.scaler.state_dict()

    @scale.setter
    def scale(self, saved: Mapping[str, Any]) -> None:
        if self._own.scaler is not None and saved:
            self._own.scaler.load_state_dict(saved)

    def log(self, figures: Mapping[str, float], step: int) -> None:
        if self._own.trackers:
            self._own.log(dict(figures), step)

    def finish(self) -> None:
        """Wait for the others, and close the events."""
        self._own.wait_for_everyone()
        for tracker in self._own.trackers:
            tracker.finish()
