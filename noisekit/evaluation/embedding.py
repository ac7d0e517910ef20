"""The embedding by which images are told apart, e = E_image(x): CLIPScore's, a unit vector. See `diversity`."""

from __future__ import annotations

import torch
from torch import Tensor

from noisekit.rewards import load_reward
from noisekit.rewards.clip_score import CLIPScore


def load_embedding(weights: str = "tiny", device: str | torch.device = "cpu") -> CLIPScore:
    """The tower whose embeddings are compared; raises `CorruptWeights` where it is missing or damaged."""
    tower = load_reward("clip_score", weights, device)
    assert isinstance(tower, CLIPScore)
    return tower


def distances(embeddings: Tensor) -> Tensor:
    """1 − cos of all pairs of unit embeddings (n, D), (n(n − 1)/2,) in the order of `itertools.combinations`."""
    first, second = torch.triu_indices(len(embeddings), len(embeddings), offset=1)
    return 1 - (embeddings[first].double() * embeddings[second].double()).sum(1)
