"""A network for larger latents on smaller ones: which noise it sees, and what comes back."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from noisekit.errors import NotSupported
from noisekit.npnet.cross_model import gather, spread, stride
from noisekit.npnet.network import PUBLISHED, NPNet
from tests.npnet.made import SMALL


def test_the_noise_lies_on_every_kth_pixel_among_fresh_ones():
    source = torch.Generator().manual_seed(0)
    x = torch.randn(3, 4, 32, 32, generator=source)
    fresh = [torch.randn(3, 4, 32, 32, generator=source) for _ in range(8)]
    for k in (1, 2, 3):
        whole = spread(x, k, fresh.__getitem__)
        assert whole.shape == (3, 4, 32 * k, 32 * k)
        assert torch.equal(gather(whole, k), x)
        every = torch.stack([x, *fresh[: k * k - 1]])  # and each of them once
        assert torch.equal(whole.flatten().sort().values, every.flatten().sort().values)


def test_a_network_that_changes_nothing_gives_the_noise_back():
    torch.manual_seed(0)
    network = NPNet(replace(SMALL, size=16)).eval()
    nn.init.zeros_(network.svd.mlp4[2].weight)
    nn.init.zeros_(network.svd.mlp4[2].bias)
    x = torch.randn(2, 4, 8, 8)
    with torch.no_grad():
        golden = network(spread(x, 2, lambda i: torch.randn(2, 4, 8, 8)), None)
    torch.testing.assert_close(gather(golden, 2), x, atol=1e-4, rtol=0)


def test_which_latents_a_network_can_serve():
    sdxl = PUBLISHED["sdxl"]
    assert [stride(sdxl, (4, size, size)) for size in (128, 64, 32)] == [1, 2, 4]
    for shape in ((16, 64, 64), (4, 96, 96), (4, 64, 96), (4, 256, 256)):
        with pytest.raises(NotSupported, match=r"\(4, 128, 128\) cannot serve a model whose latents are"):
            stride(sdxl, shape)
