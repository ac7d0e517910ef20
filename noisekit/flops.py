"""Floating-point operations of networks: the cost in which decoders, rewards and predictors count beside the denoiser.

    f_k    = operations of network k on one sample, at its own shape
    f_k′   = those of its gradient to the input: both passes, less f_k
    flops  = Σ_k f_k·n_k + f_k′·n_k′             n: the evaluations of an image, as `Cost` counts them
    denoiser equivalents = flops / f_denoiser

torch counts them while the network runs (`torch.utils.flop_counter`), once for every network: a multiplication and an
addition are two, of matrix products, convolutions, attention and singular value decompositions (4m²n + 8mn² + 9n³ for m × n,
m ≥ n: Golub and Van Loan 2013, section 8.6). Sums, activations and norms are left out, and so is the encoding of prompts,
which is the same for all methods. What gradients compute a second time to save memory counts.
"""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from typing import Any, final

import torch
from torch import Tensor

from noisekit.cost import uncounted
from noisekit.types import COUNTED, Cost

#: What a network is tried on where it needs a prompt.
SPECIMEN = "a red circle"


class Worker(ABC):
    """What runs networks and can say how much they compute."""

    @final
    def flops(self, network: str = "denoiser") -> float:
        """Operations of one evaluation of a network on one sample, by a field of `Cost` such as "decoder_backward".

        Counted when it is first asked for, which evaluates the network once, and then kept. NaN where nobody can tell.
        """
        kept: dict[str, float] = self.__dict__.setdefault("_flops", {})
        if network not in kept:
            kept[network] = self.tried(network)
        return kept[network]

    def tried(self, network: str) -> float:
        """What `flops` keeps: by default what torch counts on the specimen."""
        name = network.removesuffix("_backward")
        try:
            found = self.specimen(name)
            return math.nan if found is None else operations(*found, backward=name != network)
        except Exception as problem:  # a network of somebody's own: its images are no worse for it
            whose = type(self).__name__
            warnings.warn(
                f"operations of the {name} of {whose} could not be counted: {problem}", stacklevel=3
            )
            return math.nan

    @abstractmethod
    def specimen(self, network: str) -> tuple[Callable[[Tensor], Tensor], Tensor] | None:
        """One evaluation of a network: what runs it, and its input for one sample (1, …); None where it has no such."""


def operations(run: Callable[[Tensor], Tensor], x: Tensor, *, backward: bool = False) -> float:
    """Floating-point operations of run(x), or, where `backward`, of the gradient of its sum to x. No meter counts them."""
    from torch.utils.flop_counter import FlopCounterMode  # a third of a second to import

    with uncounted(), _stepwise(), FlopCounterMode(display=False, custom_mapping=dict(_FORMULAS)) as counter:
        with torch.set_grad_enabled(backward):
            leaf = x.detach().requires_grad_(backward)
            output = run(leaf.clone())  # the counter's own hooks do not bear leaves
        forward = counter.get_total_flops()
        if not backward:
            return float(forward)
        torch.autograd.grad(output.sum(), leaf)
        return float(counter.get_total_flops() - forward)


@contextmanager
def _stepwise() -> Iterator[None]:
    """torch's own attention layer fuses what it does without a gradient into an operator that the counter does not know."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def worth(cost: Cost, price: Callable[[str], float]) -> float:
    """Operations of the evaluations in a cost; price: of one evaluation, by network."""
    counts = {network: getattr(cost, network) for network in COUNTED}
    return sum(number * price(network) for network, number in counts.items() if number)


def _svd(shape: tuple[int, ...], *_: Any, **__: Any) -> int:
    *batch, one, other = shape
    m, n = max(one, other), min(one, other)
    return prod(batch) * (4 * m * m * n + 8 * m * n * n + 9 * n**3)


_FORMULAS: Mapping[Any, Callable[..., int]] = {torch.ops.aten._linalg_svd: _svd}
