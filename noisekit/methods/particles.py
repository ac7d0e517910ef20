"""Several walks of a stochastic sampler for each image: weighed, resampled, each with the noises that made it.

    w_j ∝ exp(ℓ_j)        ESS = 1 / Σ_j w_j²        log Ẑ += log mean_j exp(ℓ_j), and ℓ ← 0, whenever they are resampled

Particle j of sample i stands at j·B + i, the order of `Conditioning.repeat`. Every sample has weights, gate, uniforms and
ancestors of its own, so that a batch gives what its singles give; what a particle carries moves with it through `gathered`.
Resampling is systematic: one uniform a sample, and as many copies of a particle as its weight says, give or take one.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from noisekit.methods.rewarded import Rewarded
from noisekit.models.base import Marker, Model
from noisekit.noise import NoiseSource
from noisekit.types import Candidate


class Walking(Rewarded):
    """A method that chooses whole walks of a stochastic sampler by a reward, and brings their images."""

    @property
    def needs(self) -> tuple[Marker, ...]:
        return (Marker.STOCHASTIC,)

    @property
    def injects(self) -> bool:
        return True

    def delivers_images(self, _model: Model) -> bool:
        return True


class Particles:
    """K walks for each of B samples, the first of them particle `first` of the source.

    Attributes:
        noise: where each began (K·B, C, h, w).
        injected: what is, or will be, injected into each (K·B, n, C, h, w).
        state: where each stands (K·B, C, h, w).
    """

    def __init__(self, model: Model, source: NoiseSource, first: int, count: int) -> None:
        own, steps = [source.particle(first + j) for j in range(count)], len(model.deviations())
        self.noise = self.state = torch.cat([one.initial for one in own])
        self.injected = torch.cat([one.injected(steps) for one in own])
        self._log_weights = self.noise.new_zeros(len(source), count)
        self._log_z = self._log_weights[:, 0]
        self._resamplings = self._log_weights[:, 0]
        self._least = torch.full_like(self._log_z, float(count))
        self.ancestors = torch.arange(count, device=self.noise.device).expand(len(source), count)

    @property
    def weights(self) -> Tensor:
        """w (B, K); equal where nothing tells the particles of a sample apart."""
        finite = self._log_weights.nan_to_num(-torch.inf, torch.inf, -torch.inf)
        return finite.softmax(1).nan_to_num(1 / finite.shape[1])

    def weigh(self, increments: Tensor) -> None:
        """Add log-weights (K·B,)."""
        self._log_weights = self._log_weights + increments.view(self._log_weights.shape[::-1]).T

    def resample(self, k: int, uniforms: Tensor, adaptive: bool) -> Tensor:
        """Resample at point k, by uniforms (B, 1); adaptive: only the samples whose ESS is below K/2.

        Returns each particle's ancestor (B, K), for what else it carries. What will be injected from point k on is its own.
        """
        weights, count = self.weights, self._log_weights.shape[1]
        size = 1 / weights.square().sum(1)
        self._least = torch.minimum(self._least, size)
        due = (size < count / 2) if adaptive else torch.ones_like(size, dtype=torch.bool)
        stay = torch.arange(count, device=weights.device).expand_as(weights)
        ancestors = torch.where(due[:, None], systematic(weights, uniforms), stay)
        self._log_z = self._log_z + torch.where(due, self._log_mean, 0)
        self._log_weights = torch.where(due[:, None], 0, self._log_weights)
        self._resamplings = self._resamplings + due
        self.ancestors = self.ancestors.gather(1, ancestors)
        self.noise = gathered(self.noise, ancestors)
        past = gathered(self.injected[:, :k], ancestors)
        self.injected = torch.cat([past, self.injected[:, k:]], 1)
        return ancestors

    @property
    def _log_mean(self) -> Tensor:
        finite = self._log_weights.nan_to_num(-torch.inf, torch.inf, -torch.inf)
        return finite.logsumexp(1) - torch.tensor(finite.shape[1]).log()

    def best(self, rewards: Tensor, images: Tensor) -> Candidate:
        """The walk of each sample that ended best, by rewards (K·B,) of images (K·B, 3, H, W).

        Figures: "mean", the weighted mean of the rewards; "ess", the least on the way; "resamplings"; "ancestors", how many
        of the K walks have survivors; "log_z".
        """
        table = rewards.view(self._log_weights.shape[::-1]).T
        best = best_walk(self.noise, self.injected, table, images)
        info = {
            **best.info,
            "mean": (self.weights * table).sum(1),
            "ess": torch.minimum(self._least, 1 / self.weights.square().sum(1)),
            "resamplings": self._resamplings,
            "ancestors": torch.tensor([float(len(own.unique())) for own in self.ancestors]),
            "log_z": self._log_z + self._log_mean,
        }
        return replace(best, info=info)


def best_walk(noise: Tensor, injected: Tensor, rewards: Tensor, images: Tensor) -> Candidate:
    """Of K walks (K·B, …) for each sample the one of highest reward (B, K)."""
    first = rewards.nan_to_num(-torch.inf, torch.inf, -torch.inf).argmax(1, keepdim=True)
    best, own, image = (gathered(x, first) for x in (noise, injected, images))
    reward = rewards.gather(1, first)[:, 0]
    return Candidate(best, reward, image, {"reward": reward, **walk_norms(best, own)}, own)


def walk_norms(noise: Tensor, injected: Tensor) -> dict[str, Tensor]:
    """The norm (B,) of the initial noises, and the mean norm of those injected (B, n, C, h, w): both about √d if normal."""
    return {
        "norm": noise.flatten(1).norm(dim=1),
        "injected_norm": injected.flatten(2).norm(dim=2).mean(1),
    }


def gathered(values: Tensor, chosen: Tensor) -> Tensor:
    """The values (M·B, …) of M particles in the order of `chosen` (B, K), particle j of sample i at j·B + i: (K·B, …)."""
    samples = len(chosen)
    grouped = values.unflatten(0, (-1, samples))
    return grouped[chosen.T, torch.arange(samples, device=chosen.device)].flatten(0, 1)


def systematic(weights: Tensor, uniforms: Tensor) -> Tensor:
    """Ancestors (B, K) by weights (B, K) that sum to 1 and uniforms (B, 1): those at (u + 0…K−1)/K of the running sum."""
    count = weights.shape[1]
    places = (uniforms + torch.arange(count, device=weights.device)) / count
    return torch.searchsorted(weights.cumsum(1).contiguous(), places, right=True).clamp(max=count - 1)
