"""How much of everything: sizes and numbers of samples of all stages, in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Samples are counted over all workers, so that their number changes the time but not the amount of training."""

    seed: int = 0
    workers: int = 2
    scenes: int = 128_000
    shard: int = 8_000
    vae_samples: int = 150_000
    decoder_samples: int = 90_000
    denoiser_samples: int = 1_000_000


SMOKE = Recipe(workers=1, scenes=96, shard=48, vae_samples=64, decoder_samples=64, denoiser_samples=256)
