"""Direct noise optimisation: climb the reward of the image on all noises that it is made of, through the whole sampler.

    maximise  R(G(ε_T, ε_{T−1}, …, ε_1, c), c) + γ·(p(z) + mean over random orders π of p(π·z))        z: all noises, flat

    p(z) = min(−m·‖M‖²/(2k), −ln 2) + min(−½·m·max(√(1 + ‖Σ − I‖) − 1 − √(k/m), 0)², −ln 2)

z cut into m blocks of k = 4 numbers, M their mean, Σ their second moment, ‖·‖ the largest singular value: each minimum
bounds the log-probability that normal noise strays as far, so p is flat where z looks normal and sees structure that its
length hides. Tang, Peng, Tang, Hong, Wang, Wang 2024, "Inference-Time Alignment of Diffusion Models with Direct Noise
Optimization", arXiv 2405.18881, written from the paper alone: AdamW with learning rate 0.01, 100 updates, gradients clipped
at norm 1 over all noises together, η = 1, 100 orders; γ is 1 in the paper and 0 by default in its code, whose optimiser also
has torch's own weight decay of 0.01, by accident as it seems. Where the sampler injects no noise, ε_T is all there is. The
best image is kept by R. Every step of the sampler is kept for the gradient: load the model with checkpointing where memory
is short.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any, Literal

import torch
from torch import Tensor

from noisekit.methods.parameters import parameter
from noisekit.methods.particles import walk_norms
from noisekit.methods.rewarded import REWARD_DTYPE, REWARDS, WEIGHTS, Rewarded
from noisekit.models.base import Marker, Model
from noisekit.models.cards import Card
from noisekit.noise import NoiseSource, per_sample
from noisekit.rewards import Precision
from noisekit.types import Candidate, Cost

#: k, the numbers of a block of the regulariser.
BLOCK = 4


@dataclass(frozen=True)
class DNO(Rewarded):
    """Candidates 0…n are the noises before, between and after n updates, each with its image."""

    steps: int = parameter("updates n", paper=100, at_least=1)
    lr: float = parameter("learning rate of AdamW", paper=0.01, at_least=0)
    noises: Literal["all", "initial"] = parameter("what moves; 'all' on stochastic models", default="all")
    clip: float = parameter("largest norm of a sample's gradient", paper=1.0, at_least=0)
    regularisation: float = parameter("γ", default=1.0, at_least=0)
    orders: int = parameter("random orders π of an update", default=100, at_least=1)
    weight_decay: float = parameter(
        "share of the noise that an update of lr 1 takes away", default=0.0, at_least=0
    )
    rewards: str = parameter(REWARDS, paper="aesthetic:1")
    weights: str = parameter(WEIGHTS)
    reward_dtype: Precision = parameter(REWARD_DTYPE, default="float32")

    name = "dno"
    # 288 and 63 calls an image, near the other searches there
    cards = {"tiny": {"steps": 5, "lr": 0.15}, "tiny-turbo": {"steps": 20, "lr": 0.05}}

    @property
    def horizon(self) -> int:
        return self.steps + 1

    @property
    def needs(self) -> tuple[Marker, ...]:
        return (Marker.DIFFERENTIABLE, *((Marker.STOCHASTIC,) if self.injects else ()))

    @property
    def injects(self) -> bool:
        return self.noises == "all"

    def usual(self, card: Card) -> Mapping[str, Any]:
        """All the noises that the model's sampler takes."""
        return {**super().usual(card), "noises": "all" if card.eta > 0 else "initial"}

    def step_cost(self, model: Model) -> Cost:
        return self.climbed_cost(model)

    def delivers_images(self, _model: Model) -> bool:
        return True

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        reward, conditioning = self.reward(model.device), model.encode(prompts)
        initial = source.initial[:, None]
        given = torch.cat([initial, source.injected(len(model.deviations()))], 1) if self.injects else initial
        leaf = given.clone().requires_grad_()  # (B, 1 + n, C, h, w): ε_T, and what is injected
        adam = torch.optim.AdamW([leaf], self.lr, weight_decay=self.weight_decay)
        for i in range(self.horizon):
            with torch.enable_grad():
                injected = leaf[:, 1:] if self.injects else None
                generators = None if self.injects else source.sampler_generators()
                images = model.decode(model.sample(leaf[:, 0], conditioning, generators, injected=injected))
                rewarded = reward(images, prompts)
                (gradient,) = torch.autograd.grad(-rewarded.sum(), leaf)
            noises, likely = leaf.detach().clone(), torch.zeros_like(rewarded)
            if self.regularisation:
                likely, pull = self._likelihood(noises, source, i)
                gradient = gradient - self.regularisation * pull
            length = gradient.flatten(1).norm(dim=1)
            chosen = noises[:, 1:] if self.injects else None
            info = {"reward": rewarded.detach(), "norm": noises[:, 0].flatten(1).norm(dim=1)}
            info |= {"gradient": length, "likelihood": likely}
            if chosen is not None:
                info |= walk_norms(noises[:, 0], chosen)
            yield Candidate(noises[:, 0], rewarded.detach(), images.detach(), info, chosen)
            scale = (self.clip / length.clamp(min=1e-12)).clamp(max=1)
            leaf.grad = gradient * per_sample(scale, gradient)
            adam.step()

    def _likelihood(self, noises: Tensor, source: NoiseSource, update: int) -> tuple[Tensor, Tensor]:
        """p(z) + mean p(π·z) (B,), and its gradient: an order at a time, as all of them would fill the memory."""
        flat = noises.flatten(1)
        total, gradient = likelihood(flat, None)
        for j in range(self.orders):
            order = source.permutation(update * self.orders + j, flat.shape[1])
            value, slope = likelihood(flat, order)
            total, gradient = total + value / self.orders, gradient + slope / self.orders
        return total, gradient.view_as(noises)


def likelihood(flat: Tensor, order: Tensor | None) -> tuple[Tensor, Tensor]:
    """p (B,) of flat noises (B, d) in an order (B, d), and its gradient (B, d)."""
    with torch.enable_grad():
        leaf = flat.detach().requires_grad_()
        value = log_p(leaf if order is None else leaf.gather(1, order))
        (gradient,) = torch.autograd.grad(value.sum(), leaf)
    return value.detach(), gradient


def log_p(flat: Tensor, k: int = BLOCK) -> Tensor:
    """p (B,) of noises (B, d), d a multiple of k; −2·ln 2 at most."""
    blocks = flat.unflatten(1, (-1, k))
    m, mean = blocks.shape[1], blocks.mean(1)
    second = blocks.mT @ blocks / m - torch.eye(k, device=flat.device)
    excess = ((1 + torch.linalg.matrix_norm(second, ord=2)).sqrt() - 1 - (k / m) ** 0.5).clamp(min=0)
    strays = -m * mean.square().sum(1) / (2 * k), -m * excess**2 / 2
    return strays[0].clamp(max=-log(2)) + strays[1].clamp(max=-log(2))
