"""The gradient of a score through a network in float16, whose numbers end at 6·10⁻⁸.

    ∂L/∂x_i = g_i · (∂(S·s_i)/∂x_i) / S        g_i = ∂L/∂s_i, S = 2⁸

What comes back from the loss, however small a reward's weight makes it, never enters the network: the network sees S, which
keeps the gradients of its layers far from both ends of the range, and the products with g_i and 1/S are in fp32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

#: A power of two, so that multiplying and dividing by it rounds nothing.
SCALE = 2.0**8


def steady(score: Callable[[Tensor], Tensor], pixels: Tensor) -> Tensor:
    """score(pixels in float16) (B,) of pixels (B, …) in fp32, each score depending on its own sample alone."""
    if not (torch.is_grad_enabled() and pixels.requires_grad):
        return score(pixels.half())
    result: Tensor = _Steady.apply(pixels, score)
    return result


class _Steady(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pixels: Tensor, score: Callable[[Tensor], Tensor]) -> Tensor:
        with torch.enable_grad():
            ctx.leaf = pixels.detach().half().requires_grad_()
            ctx.scores = score(ctx.leaf)
        scores: Tensor = ctx.scores.detach()
        return scores

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        (inside,) = torch.autograd.grad(ctx.scores, ctx.leaf, torch.full_like(ctx.scores, SCALE))
        del ctx.leaf, ctx.scores  # as the graph of any other operation
        shape = (-1, *[1] * (inside.dim() - 1))
        return inside.float() * (gradient.float() / SCALE).view(shape), None
