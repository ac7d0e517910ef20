"""ReNO: reward-based noise optimisation. Climb the reward of the image by gradient ascent on its initial noise.

    maximise  R(G(ε, c), c) + λ·K(ε)        K(ε) = (d − 1)·log‖ε‖ − ½‖ε‖²
    g ← clip(∇, 0.1)        v ← μ·v + g        ε ← ε − η·(g + μ·v)        (heavy ball: ε ← ε − η·v)

with ∇ the gradient of the negative objective; K is the log-density of ‖ε‖ under the chi distribution with d degrees of
freedom, up to a constant. Eyring, Karthik, Roth, Dosovitskiy, Akata 2024, "ReNO", arXiv 2406.04312: n = 50 evaluations
(49 updates), η = 5, μ = 0.9 with Nesterov momentum as the public code (its Algorithm 1 prints heavy ball), λ = 0.01. The
best image is kept by R alone, without K. Clipping, momentum and best-kept are per sample; losses are summed over samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from noisekit.errors import BadValue
from noisekit.methods.base import NoiseMethod
from noisekit.methods.parameters import parameter
from noisekit.models.base import Marker, Model
from noisekit.noise import NoiseSource
from noisekit.rewards import load_reward, parse_weights, weighted_reward
from noisekit.types import Candidate, Cost

PAPER_REWARDS = "hps:5 + image_reward:1 + clip_score:0.01 + pick_score:0.05"


@dataclass(frozen=True)
class ReNO(NoiseMethod):
    """n candidates, the first being the standard noise. Needs a one-step model unless `through_steps` is given."""

    steps: int | None = parameter("reward evaluations n; one update less", paper=50, at_least=1)
    lr: float | None = parameter("step size η; scale it with the latent's norm", paper=5.0, at_least=0)
    rewards: str | None = parameter(
        "weighted sum such as 'clip_score:1 + aesthetic:0.3'", paper=PAPER_REWARDS
    )
    weights: Literal["tiny", "published"] | None = parameter("which reward weights", paper="published")
    momentum: float = parameter("μ", default=0.9, at_least=0, at_most=1)
    ball: Literal["nesterov", "heavy"] = parameter("form of the momentum", default="nesterov")
    clip: float = parameter("largest norm of a sample's gradient", default=0.1, at_least=0)
    regularisation: float = parameter("λ of the chi regulariser", default=0.01, at_least=0)
    through_steps: int | None = parameter("differentiate through this many sampler steps", at_least=1)

    name = "reno"
    objective = "reward"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rewards is None:
            return
        try:
            parse_weights(self.rewards)
        except BadValue as error:
            if self.rewards != PAPER_REWARDS:
                raise
            raise BadValue(
                f"method 'reno' takes the paper's rewards {PAPER_REWARDS!r} where none are given, and this release lacks "
                "some of them; give your own, as in reno(rewards='clip_score:0.1', weights='tiny')"
            ) from error

    @property
    def horizon(self) -> int:
        assert self.steps is not None
        return self.steps

    @property
    def needs(self) -> tuple[Marker, ...]:
        one_step = (Marker.ONE_STEP,) if self.through_steps is None else ()
        return (Marker.DIFFERENTIABLE, *one_step)

    @property
    def optimised(self) -> frozenset[str]:
        return frozenset(parse_weights(self.rewards or PAPER_REWARDS))

    def dependencies(self, device: torch.device) -> dict[str, Any]:
        assert self.weights is not None
        loaded = {name: load_reward(name, self.weights, device) for name in sorted(self.optimised)}
        return {"rewards": {name: reward.identity for name, reward in loaded.items()}}

    def step_cost(self, model: Model) -> Cost:
        image, rewards = model.sample_cost(self.through_steps), len(self.optimised)
        forward = Cost(image.denoiser, 0, image.decoder, 0, rewards, 0)
        return forward + Cost(0, image.denoiser, 0, image.decoder, 0, rewards)

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        assert self.rewards is not None
        assert self.weights is not None
        assert self.lr is not None
        reward = weighted_reward(self.rewards, weights=self.weights, device=model.device)
        conditioning = model.encode(prompts)
        delivered = self.through_steps in (
            None,
            model.card.steps,
        )  # the image of the search is the final image
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
            info = {"reward": rewarded.detach(), "norm": noise.flatten(1).norm(dim=1), "gradient": length}
            yield Candidate(noise, rewarded.detach(), images.detach() if delivered else None, info)
            gradient = gradient * (self.clip / length.clamp(min=1e-12)).clamp(max=1).view(-1, 1, 1, 1)
            velocity = self.momentum * velocity + gradient
            step = gradient + self.momentum * velocity if self.ball == "nesterov" else velocity
            noise = noise - self.lr * step


def chi_penalty(noise: Tensor) -> Tensor:
    """−K(ε) = ½‖ε‖² − (d − 1)·log‖ε‖ (B,), in fp32; least at ‖ε‖ = √(d − 1)."""
    length = noise.float().flatten(1).norm(dim=1)
    return length**2 / 2 - (noise[0].numel() - 1) * length.log()
