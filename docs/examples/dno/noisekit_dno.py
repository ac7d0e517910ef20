"""Direct noise optimisation: climb the reward of the image through the whole sampler, by Adam on the noise.

    maximise  R(G(ε, c), c) + γ·(p(ε) + mean over 100 random orders π of p(π·ε))

    p(ε) = min(−m·‖M‖²/(2k), −ln 2) + min(−½·m·max(√(1 + ‖Σ − I‖) − 1 − √(k/m), 0)², −ln 2)

the noise cut into m blocks of k = 4 numbers, M their mean, Σ their second moment, ‖Σ − I‖ its largest singular value: p
bounds the log-probability that normal noise looks like ε, and is flat where ε looks normal. Tang et al. 2024, arXiv
2405.18881: n = 100, learning rate 0.01, gradients clipped at 1. There, as in noisekit's `dno`, injected noises move too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from noisekit import Candidate, Cost
from noisekit.methods.parameters import parameter
from noisekit.methods.rewarded import REWARDS, WEIGHTS, Rewarded
from noisekit.models import Marker, Model
from noisekit.noise import NoiseSource


@dataclass(frozen=True)
class DNO(Rewarded):
    """Candidates 0…n are the noises before, between and after n updates, each with its image."""

    steps: int = parameter("updates n", paper=100, at_least=0)
    lr: float = parameter("learning rate of Adam", paper=0.01, at_least=0)
    regularisation: float = parameter("γ", default=1.0, at_least=0)
    orders: int = parameter("random orders π", default=100, at_least=1)
    rewards: str = parameter(REWARDS, paper="aesthetic:1")
    weights: str = parameter(WEIGHTS, default="published")

    name = "dno_initial"
    needs = (Marker.DIFFERENTIABLE,)
    cards = {
        "tiny": {"steps": 5, "lr": 0.05, "rewards": "hps:5", "weights": "tiny"},
        "tiny-turbo": {"steps": 20, "lr": 0.05, "rewards": "hps:5", "weights": "tiny"},
    }

    @property
    def horizon(self) -> int:
        return self.steps + 1

    def step_cost(self, model: Model) -> Cost:
        image, rewards = model.sample_cost(), len(self.optimised)
        return Cost(image.denoiser, image.denoiser, image.decoder, image.decoder, rewards, rewards)

    def delivers_images(self, model: Model) -> bool:
        return True

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        reward, conditioning = self.reward(model.device), model.encode(prompts)
        orders = [source.permutation(i, source.initial[0].numel()) for i in range(self.orders)]
        leaf = source.initial.clone().requires_grad_()
        adam = torch.optim.AdamW([leaf], self.lr, weight_decay=0)
        for _ in range(self.horizon):
            with torch.enable_grad():
                images = model.decode(model.sample(leaf, conditioning, source.sampler_generators()))
                rewarded, flat = reward(images, prompts), leaf.flatten(1)
                shuffled = torch.stack([log_p(flat.gather(1, order)) for order in orders]).mean(0)
                objective = rewarded + self.regularisation * (log_p(flat) + shuffled)
                (gradient,) = torch.autograd.grad(-objective.sum(), leaf)
            length = gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
            yield Candidate(leaf.detach().clone(), rewarded.detach(), images.detach())
            leaf.grad = gradient / length.clamp(min=1)
            adam.step()


def log_p(noise: Tensor, k: int = 4) -> Tensor:
    """p (B,) of noises (B, d), d a multiple of k; −2·ln 2 at most."""
    blocks = noise.unflatten(1, (-1, k))
    m, mean, second = blocks.shape[1], blocks.mean(1), blocks.mT @ blocks / blocks.shape[1]
    spread = torch.linalg.matrix_norm(second - torch.eye(k, device=noise.device), ord=2)
    excess = ((1 + spread).sqrt() - 1 - (k / m) ** 0.5).clamp(min=0)
    return (-m * (mean**2).sum(1) / (2 * k)).clamp(max=-log(2)) + (-m * excess**2 / 2).clamp(max=-log(2))
