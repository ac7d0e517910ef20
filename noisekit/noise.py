"""Per-sample sources of noise: ε ~ N(0, I), keyed so that every sample of every batch draws its own numbers.

    ε(sample, stream, k) = randn(generator seeded with SHA-256(seed, prompt, stream, k))

Each sample owns one generator per draw, on the CPU in fp32, so a draw depends neither on the batch around it nor on the
device nor on what was drawn before. A method and the standard image share every random number that they can.

Convention "per_prompt" (the default) hashes the prompt in, the pixels of a prompt that is an image included: the same
seed gives different noise for different prompts, so that seeds are independent across prompts. Convention "shared"
leaves it out: one noise per seed for all prompts, as the papers do; statistics then have to cluster by seed too.
Convention "published" is "shared" with the papers' own numbers, ε(sample, "initial", 0) = `published_noise(seed)`;
what they do not say how to draw is keyed as in "shared".
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import get_args

import torch
from torch import Tensor

from noisekit.errors import BadValue
from noisekit.image_prompts import noise_key
from noisekit.types import Convention


def generator(*key: object) -> torch.Generator:
    """A CPU generator seeded with the first 63 bits of SHA-256 over the printed parts of a key.

    Args:
        *key: what the numbers shall depend on, such as a seed, a prompt and the name of a stream.

    Returns:
        A fresh generator, in the same state for the same key.
    """
    digest = hashlib.sha256("\x1f".join(str(part) for part in key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def published_noise(seed: int, shape: tuple[int, ...]) -> Tensor:
    """The noise that `torch.manual_seed(seed)` gives on the CPU, as scripts around the papers draw it.

    Args:
        seed: of the generator.
        shape: of the noise, (C, h, w).

    Returns:
        The noise (1, C, h, w).
    """
    return torch.randn(1, *shape, generator=torch.Generator().manual_seed(seed))


def chi_penalty(noise: Tensor) -> Tensor:
    """How far a noise ε of d elements is from the shell of Gaussian ones: −K(ε) = ½‖ε‖² − (d − 1)·log‖ε‖.

    K is the log-density of ‖ε‖ under the chi distribution with d degrees of freedom, up to a constant.

    Args:
        noise: (B, C, h, w).

    Returns:
        −K (B,), in fp32; least at ‖ε‖ = √(d − 1).
    """
    length = noise.float().flatten(1).norm(dim=1)
    return length**2 / 2 - (noise[0].numel() - 1) * length.log()


def per_sample(values: Tensor, like: Tensor) -> Tensor:
    """Values (B,) in a shape in which each meets its own sample of `like` (B, ...)."""
    return values.view(-1, *[1] * (like.dim() - 1))


@dataclass(frozen=True)
class NoiseSource:
    """The noise of B samples, sample i being (prompts[i], seeds[i]).

    Args:
        shape: of one noise, (C, h, w), with frames (F, C, h, w).
        prompts: of the samples.
        seeds: of the samples.
        convention: "per_prompt", "shared" by all prompts of a seed, or "published".
        device: where the noise goes; it is drawn on the CPU.
        start: the initial noise of a search within a search, see `starting_at`.
        branch: the name of that search.
        sampler: the name of what the sampler draws, see `particle`.

    Raises:
        BadValue: where prompts and seeds are not as many, or the convention is none.
    """

    shape: tuple[int, ...]
    prompts: Sequence[str]
    seeds: Sequence[int]
    convention: Convention = "per_prompt"
    device: torch.device | str = "cpu"
    start: Tensor | None = field(default=None, repr=False, compare=False)
    branch: str = ""
    sampler: str = ""

    def __post_init__(self) -> None:
        if len(self.prompts) != len(self.seeds):
            raise BadValue(
                f"{len(self.prompts)} prompts but {len(self.seeds)} seeds; give one seed per sample"
            )
        if self.convention not in get_args(Convention):
            raise BadValue(
                f"noise convention {self.convention!r} is not one of {', '.join(get_args(Convention))}"
            )

    def __len__(self) -> int:
        return len(self.seeds)

    def starting_at(self, noise: Tensor, branch: str) -> NoiseSource:
        """A source whose `initial` is `noise` (B, C, h, w) and whose other draws and steps belong to `branch` alone.

        So several searches for one image propose different noises. What the sampler draws is the same in all branches, or
        a found noise would not give its image again.
        """
        return replace(self, start=noise, branch=f"{self.branch}/{branch}")

    def particle(self, j: int) -> NoiseSource:
        """The source of the j-th of several walks of a stochastic sampler for one image: `draw(j)`, and what it injects.

        Particle 0 is this source, so its walk is the standard image's. Unlike the branches of `starting_at`, every other
        particle injects noises of its own: a method that chooses among them hands those it chose on, as `injected` of its
        candidates.
        """
        if j == 0:
            return self
        name = f"/particle {j}"
        return replace(self, start=self.draw(j), branch=self.branch + name, sampler=self.sampler + name)

    def _generators(self, stream: str, index: int) -> list[torch.Generator]:
        prompts = map(noise_key, self.prompts) if self.convention == "per_prompt" else [""] * len(self)
        return [
            generator(seed, prompt, stream, index) for seed, prompt in zip(self.seeds, prompts, strict=True)
        ]

    def _normal(self, stream: str, index: int) -> Tensor:
        draws = [torch.randn(self.shape, generator=g) for g in self._generators(stream + self.branch, index)]
        return torch.stack(draws).to(self.device)

    @cached_property
    def initial(self) -> Tensor:
        """The noise (B, C, h, w) that a search starts from, usually the standard image's; equal to `draw(0)`."""
        return self.draw(0)

    def draw(self, k: int) -> Tensor:
        """The k-th candidate noise (B, C, h, w) of each sample's own sequence."""
        if k == 0 and self.start is not None:
            return self.start
        if k == 0 and self.convention == "published":
            return torch.cat([published_noise(seed, self.shape) for seed in self.seeds]).to(self.device)
        return self._normal("initial", k)

    def step(self, i: int) -> Tensor:
        """Fresh noise (B, C, h, w) for the i-th random move of a method."""
        return self._normal("step", i)

    def uniform(self, i: int, *shape: int) -> Tensor:
        """Numbers (B, *shape), uniform in [0, 1), for the i-th random decision of a method."""
        draws = [torch.rand(shape, generator=g) for g in self._generators("uniform" + self.branch, i)]
        return torch.stack(draws).to(self.device)

    def permutation(self, i: int, n: int) -> Tensor:
        """Permutations (B, n) of 0…n−1, one a sample, for the i-th random order of a method."""
        draws = [torch.randperm(n, generator=g) for g in self._generators("permutation" + self.branch, i)]
        return torch.stack(draws).to(self.device)

    def sampler_generators(self) -> list[torch.Generator]:
        """Fresh generators for a stochastic sampler, one a sample, in the same state at every call."""
        return self._generators("sampler" + self.sampler, 0)

    def injected(self, n: int) -> Tensor:
        """The first n noises (B, n, C, h, w) that a stochastic sampler draws, in turn, from `sampler_generators`."""
        draws = [
            torch.stack([torch.randn(self.shape, generator=own) for _ in range(n)])
            for own in self.sampler_generators()
        ]
        return torch.stack(draws).to(self.device)
