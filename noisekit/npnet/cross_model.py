"""A trained NPNet on a model that it was not made for: other prompt embeddings, smaller latents.

    golden = svd(X) + β·residual(X)            the text branch is left out: e = 0
    X[:, :, ::k, ::k] = x, other pixels of X: independent N(0, 1)            golden noise of x = golden[:, :, ::k, ::k]

with k = size of the network's latents / size of x. Zhou et al. 2024, "Golden Noise for Diffusion Models", arXiv 2411.09502,
Table 6, run SDXL's network without e on Stable Diffusion 1.4, whose latents are 64² where the network's are 128²; how the
two meet is told neither there nor in the public code. This way X is a noise such as the network was trained on, and a
network that changes nothing gives x back. It is also what public nodes for user interfaces do from the other end: they
make a golden noise of 128² and keep every k-th pixel of it.

Alternatives that were set aside: stretching x to 128² by nearest pixels, or laying it out k × k times. Both make the folded
matrix X of rank 128 with doubled singular values, which the network never saw; the basis of its null space, and so the
result, would be the linear algebra library's choice.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

from torch import Tensor

from noisekit.errors import NotSupported
from noisekit.npnet.network import CHANNELS, NPNetConfig


def stride(config: NPNetConfig, noise_shape: tuple[int, ...]) -> int:
    """k for latents of this shape (C, h, w); raises `NotSupported` where no k fits."""
    *channels, height, width = noise_shape
    if channels != [CHANNELS] or height != width or config.size % height:
        raise NotSupported(
            f"an NPNet for latents of {config.noise_shape} cannot serve a model whose latents are {noise_shape}: it takes "
            f"square ones of {CHANNELS} channels, and a size that {config.size} is a multiple of"
        )
    return config.size // height


def spread(x: Tensor, k: int, fresh: Callable[[int], Tensor]) -> Tensor:
    """X (B, 4, k·h, k·h) of x (B, 4, h, h); fresh(i) is the i-th further noise of that shape, i < k² − 1."""
    batch, channels, height, width = x.shape
    whole = x.new_empty(batch, channels, k * height, k * width)
    for i, (row, column) in enumerate(product(range(k), repeat=2)):
        whole[:, :, row::k, column::k] = fresh(i - 1) if i else x
    return whole


def gather(whole: Tensor, k: int) -> Tensor:
    """x of X: the pixels of `whole` that `spread` put x on."""
    return whole[:, :, ::k, ::k].contiguous()
