"""ReNO: reward-based noise optimisation. Climb the reward of the image by gradient ascent on its initial noise.

    maximise  R(G(ε, c), c) + λ·K(ε)        K(ε) = (d − 1)·log‖ε‖ − ½‖ε‖²
    g ← clip(∇, 0.1)        v ← μ·v + g        ε ← ε − η·(g + μ·v)        (heavy ball: ε ← ε − η·v)

with ∇ the gradient of the negative objective; K is the log-density of ‖ε‖ under the chi distribution with d degrees of
freedom, up to a constant. Eyring, Karthik, Roth, Dosovitskiy, Akata 2024, "ReNO", arXiv 2406.04312: n = 50 evaluations
(49 updates), η = 5, μ = 0.9 with Nesterov momentum as the public code (its Algorithm 1 prints heavy ball), λ = 0.01.
The best image is kept by R alone, without K. Clipping, momentum and best-kept are per sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from noisekit.methods.parameters import parameter
from noisekit.methods.rewarded import REWARD_DTYPE, REWARDS, WEIGHTS, Rewarded
from noisekit.models.base import Marker, Model
from noisekit.noise import NoiseSource, chi_penalty, per_sample
from noisekit.rewards import Precision
from noisekit.types import Candidate, Cost


@dataclass(frozen=True)
class ReNO(Rewarded):
    """n candidates, the first being the standard noise. Needs a one-step model unless `through_steps` is given."""

    steps: int = parameter("reward evaluations n; one update less", paper=50, at_least=1)
    lr: float = parameter("step size η; scale it with the latent's norm", paper=5.0, at_least=0)
    rewards: str = parameter(REWARDS, paper="hps:5 + image_reward:1 + clip_score_h14:0.01 + pick_score:0.05")
    weights: str = parameter(WEIGHTS)
    reward_dtype: Precision = parameter(REWARD_DTYPE, default="float32")
    momentum: float = parameter("μ", default=0.9, at_least=0, at_most=1)
    ball: Literal["nesterov", "heavy"] = parameter("form of the momentum", default="nesterov")
    clip: float = parameter("largest norm of a sample's gradient", default=0.1, at_least=0)
    regularisation: float = parameter("λ of the chi regulariser", default=0.01, at_least=0)
    through_steps: int | None = parameter("differentiate through this many sampler steps", at_least=1)

    name = "reno"
    version = 2  # 1 kept room in a budget for a final image that the search brings

    @property
    def horizon(self) -> int:
        return self.steps

    @property
    def needs(self) -> tuple[Marker, ...]:
        return (Marker.DIFFERENTIABLE, *([Marker.ONE_STEP] if self.through_steps is None else []))

    def step_cost(self, model: Model) -> Cost:
        return self.climbed_cost(model, self.through_steps)

    def delivers_images(self, model: Model) -> bool:
        return self.through_steps in (None, model.card.steps)

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        reward, conditioning = self.reward(model.device), model.encode(prompts)
        noise, velocity = source.initial, torch.zeros_like(source.initial)
        for _ in range(self.horizon):
            with torch.enable_grad():
                leaf = noise.detach().requires_grad_()
                latents = model.sample(leaf, conditioning, source.sampler_generators(), self.through_steps)
                images = model.decode(latents)
                rewarded = reward(images, prompts)
                loss = (self.regularisation * chi_penalty(leaf) - rewarded).sum()
                (gradient,) = torch.autograd.grad(loss, leaf)
            length = gradient.flatten(1).norm(dim=1)
            score = rewarded.detach()
            info = {"reward": score, "norm": noise.flatten(1).norm(dim=1), "gradient": length}
            yield Candidate(noise, score, images.detach() if self.delivers_images(model) else None, info)
            gradient = gradient * per_sample((self.clip / length.clamp(min=1e-12)).clamp(max=1), gradient)
            velocity = self.momentum * velocity + gradient
            step = gradient + self.momentum * velocity if self.ball == "nesterov" else velocity
            noise = noise - self.lr * step
