"""How much of everything: sizes and numbers of samples of all stages, in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Samples are counted over all workers, so that their number changes the time but not the amount of
    training."""

    seed: int = 0
    workers: int = 2
    scenes: int = 128_000
    shard: int = 8_000
    vae_samples: int = 110_000
    decoder_samples: int = 32_000
    denoiser_samples: int = 600_000
    pairs: int = 40_960
    pair_shard: int = 1_024
    turbo_samples: int = 180_000
    clip_samples: int = 288_000
    rank_samples: int = 38_400
    aesthetic_samples: int = 224_000
    ranked: int = 144_000  # images in the rankings of each preference model
    hps_samples: int = 140_000
    pick_score_samples: int = 280_000
    image_reward_samples: int = 384_000  # images
    mps_samples: int = 208_000
    mps_rank_samples: int = 24_000
    orbit_things: int = 1_600
    orbit_shard: int = 400
    orbit_vae_samples: int = 9_600
    orbit_samples: int = 24_000  # clips


#: A step or two of every stage, which show that it runs.
SMOKE = Recipe(
    workers=1,
    scenes=96,
    shard=48,
    vae_samples=64,
    decoder_samples=64,
    denoiser_samples=64,
    pairs=64,
    pair_shard=32,
    turbo_samples=64,
    clip_samples=64,
    rank_samples=64,
    aesthetic_samples=64,
    ranked=256,
    hps_samples=64,
    pick_score_samples=64,
    image_reward_samples=128,
    mps_samples=64,
    mps_rank_samples=64,
    orbit_things=8,
    orbit_shard=4,
    orbit_vae_samples=64,
    orbit_samples=32,
)
