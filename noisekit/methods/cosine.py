"""Optimise a noise towards inversion stability by the gradient of 1 − cosine.

    J(ε) = 1 − cos(ε, ε′)        ε′ = invert(denoise(ε, c), c), held constant within a step
    ∇J   = −(ε̂′ − cos·ε̂) / ‖ε‖   hats: unit vectors
    m ← β·m + ∇J                  ε ← ε − η_i·m        η_i = η·(1 + cos(π·i/n))/2

Qi, Bai, Xiong, Xie 2024, "Not All Noises Are Created Equally", Algorithm 2: n = 100 steps, η = 100 on SDXL's d = 65,536
elements, β = 0.5. ∇J is orthogonal to ε, so a step turns ε by about η·sin θ/‖ε‖² = η·sin θ/d radians: η must scale with d
and is given per element: on SV3D 1500 over 435,456, for 20 steps. State is fp32 whatever the model computes in:
elements of ∇J are about 1e-5.

Variants: "backprop" differentiates through the round trip as well; "fixed_point" needs no gradient at all,

    ε ← ‖ε_0‖·unit((1 − ω)·ε + ω·ε′)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from noisekit.methods.parameters import parameter
from noisekit.methods.round_trip import RoundTripMethod, cosine_similarity
from noisekit.models.base import Marker, Model
from noisekit.noise import NoiseSource, per_sample
from noisekit.types import Candidate, Cost


@dataclass(frozen=True)
class Cosine(RoundTripMethod):
    """n updates from the standard noise; candidates 0…n are the noises before, between and after them."""

    steps: int = parameter("updates n; the annealing spans them", paper=100, at_least=1)
    lr_per_element: float = parameter("step size η / d", paper=100 / 65536, at_least=0)
    annealing: Literal["cosine", "none"] = parameter(
        "how η_i falls: by the half cosine above, or not", default="cosine"
    )
    momentum: float = parameter("β", default=0.5, at_least=0, at_most=1)
    update: Literal["gradient", "backprop", "fixed_point"] = parameter("the rule", default="gradient")
    renormalise: bool = parameter("put ε back to its initial norm after every step", default=False)
    damping: float = parameter("ω of the fixed-point rule", default=0.5, at_least=0, at_most=1)
    keep: Literal["best", "last"] = parameter(
        "the most stable ε, or the last as in Algorithm 2", default="best"
    )

    name = "cosine"

    @property
    def horizon(self) -> int:
        return self.steps + 1

    @property
    def needs(self) -> tuple[Marker, ...]:
        return (
            (Marker.INVERTIBLE, Marker.DIFFERENTIABLE) if self.update == "backprop" else (Marker.INVERTIBLE,)
        )

    def step_cost(self, model: Model) -> Cost:
        trip = self.round_trip_cost(model)
        return replace(trip, denoiser_backward=trip.denoiser) if self.update == "backprop" else trip

    def anytime(self, candidates: int) -> bool:
        falls = self.update != "fixed_point" and self.annealing == "cosine"
        return not falls or candidates >= self.horizon

    def planned(self, candidates: int) -> Cosine:
        """Anneal over the steps that the budget allows: 100 steps cut at 37 are not `steps=37`."""
        return replace(self, steps=max(1, candidates - 1))

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        round_trip = self.round_trip(model, prompts)
        noise, norm = source.initial, norms(source.initial)
        velocity = torch.zeros_like(noise)
        lr = self.lr_per_element * noise[0].numel()
        for i in range(self.horizon):
            stability, recovered, gradient = self._evaluate(round_trip, noise)
            score = stability if self.keep == "best" else None
            yield Candidate(noise, score, info={"stability": stability, "norm": norms(noise).flatten()})
            if self.update == "fixed_point":
                noise = (1 - self.damping) * noise + self.damping * recovered
            else:
                velocity = self.momentum * velocity + gradient
                noise = noise - lr * self._share(i) * velocity
            if self.renormalise or self.update == "fixed_point":
                noise = noise * (norm / norms(noise))

    def _share(self, i: int) -> float:
        """η_i/η."""
        return (1 + math.cos(math.pi * i / self.steps)) / 2 if self.annealing == "cosine" else 1.0

    def _evaluate(
        self, round_trip: Callable[[Tensor], Tensor], noise: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Stability (B,), recovered noise and ∇J, both (B, C, h, w) in fp32."""
        if self.update == "backprop":
            with torch.enable_grad():
                leaf = noise.detach().requires_grad_()
                recovered = round_trip(leaf).float()
                stability = cosine_similarity(leaf, recovered)
                (gradient,) = torch.autograd.grad(-stability.sum(), leaf)
            return stability.detach(), recovered.detach(), gradient
        recovered = round_trip(noise).float()
        stability = cosine_similarity(noise, recovered)
        return stability, recovered, closed_form_gradient(noise, recovered, stability)


def closed_form_gradient(noise: Tensor, recovered: Tensor, stability: Tensor) -> Tensor:
    """∇_ε (1 − cos(ε, ε′)) with ε′ constant; orthogonal to ε."""
    length = norms(noise)
    return -(recovered / norms(recovered) - per_sample(stability, noise) * noise / length) / length


def norms(x: Tensor) -> Tensor:
    """Euclidean norm of each sample, (B, 1, 1, 1)."""
    return per_sample(x.flatten(1).norm(dim=1), x)
