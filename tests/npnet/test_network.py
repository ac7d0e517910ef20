"""The network against a plain reference, per branch and whole, and as published files hold it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from noisekit.errors import BadValue
from noisekit.npnet.network import (
    PUBLISHED,
    TINY,
    NPNet,
    fold,
    singular,
    suited,
    unfold,
)
from noisekit.npnet.published import load_published
from tests.npnet import reference
from tests.npnet.made import SMALL, inputs, published_file


class Backbone:
    """The Swin as a function of numpy arrays."""

    def __init__(self, swin, image):
        self.swin, self.image = swin.double().eval(), image

    def __call__(self, images):
        with torch.no_grad():
            return self.swin.forward_features(torch.from_numpy(images)).numpy()


def plain(weights):
    """The tensors of a published file as fp64 arrays."""
    return {
        key: plain(value) if isinstance(value, dict) else value.detach().double().numpy()
        for key, value in weights.items()
    }


def arrays(*tensors):
    return [tensor.double().numpy() for tensor in tensors]


def close(ours, expected):
    """Within 1e-5 of values of order 1."""
    assert np.abs(expected).mean() > 0.1
    np.testing.assert_allclose(ours.detach().numpy(), expected, atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The network, the published layout that it was loaded from as arrays, and its Swin."""
    weights, swin = published_file(SMALL)
    file = tmp_path_factory.mktemp("published") / "small.pth"
    torch.save(weights, file)
    return load_published(file, SMALL), plain(weights), Backbone(swin, SMALL.image)


def test_the_svd_branch_is_the_references_with_equal_factors(small):
    network, weights, _ = small
    noise, _ = inputs(SMALL)
    factors = singular(fold(noise), "cpu")
    expected = reference.svd_branch(weights["unet_svd"], arrays(*factors), SMALL.heads)
    close(network.svd(*factors), expected)
    np.testing.assert_array_equal(fold(noise).numpy(), reference.folded(noise.numpy()).astype(np.float32))
    assert torch.equal(unfold(fold(noise)), noise)


def test_the_text_branch_is_the_references(small):
    network, weights, _ = small
    noise, text = inputs(SMALL)
    close(
        network.text(noise, text.flatten(1)),
        reference.ada_group_norm(weights["embeeding"], *arrays(noise, text)),
    )


def test_the_residual_branch_is_the_references(small):
    network, weights, backbone = small
    noise, _ = inputs(SMALL)
    expected = reference.residual_branch(weights["unet_embedding"], backbone, *arrays(noise))
    close(network.residual(noise), expected)


def test_the_network_is_the_references(small):
    network, weights, backbone = small
    noise, text = inputs(SMALL)
    factors = arrays(*singular(fold(noise), "cpu"))
    expected = reference.npnet(weights, backbone, *arrays(noise, text), factors, SMALL.heads)
    golden = network(noise, text)
    close(golden, expected)
    assert torch.equal(golden, network(noise, text))
    assert not any(tensor.requires_grad for tensor in network.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sdxl", "dit"])
def test_a_file_of_the_published_size_loads_and_is_the_references(name, tmp_path):
    config = PUBLISHED[name]
    weights, swin = published_file(config)
    torch.save(weights, tmp_path / "full.pth")
    network = load_published(tmp_path / "full.pth")
    noise, text = inputs(config, batch=1)
    factors = arrays(*singular(fold(noise), "cpu"))
    backbone = Backbone(swin, 224)
    expected = reference.npnet(plain(weights), backbone, *arrays(noise, text), factors, 8)
    np.testing.assert_allclose(network(noise, text).numpy(), expected, atol=1e-4, rtol=0)


def test_published_sizes_are_the_facts():
    sdxl, dit = PUBLISHED["sdxl"], PUBLISHED["dit"]
    with torch.device("meta"):
        network, other = NPNet(sdxl), NPNet(dit)
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert shapes["text.linear.weight"] == (8, 2048 * 77)
    assert other.text.linear.in_features == 1024 * 77
    assert shapes["svd.mlp1.0.weight"] == shapes["svd.mlp2.0.weight"] == (64, 256)
    assert shapes["svd.mlp3.0.weight"] == (256, 256)
    assert shapes["svd.mlp4.0.weight"] == (1024, 256)
    assert shapes["svd.attention.qkv.weight"] == (768, 256)
    assert "svd.attention.qkv.bias" not in shapes
    assert shapes["svd.attention.proj.bias"] == (256,)
    assert network.svd.attention.num_heads == 8
    assert shapes["residual.downconv.weight"] == (3, 4, 1, 1)
    assert shapes["residual.upconv.weight"] == (4, 7, 1, 1)
    assert shapes["residual.swin.norm.weight"] == (768,)
    assert shapes["alpha"] == shapes["beta"] == (1,)


def test_the_tiny_network_is_small():
    assert sum(tensor.numel() for tensor in NPNet(TINY).parameters()) < 2_000_000


@pytest.mark.parametrize("branch", ["svd", "residual", "text"])
def test_a_branch_that_is_off_is_left_out_and_adds_nothing(branch):
    torch.manual_seed(0)
    whole = NPNet(SMALL).eval()
    for scalar in (whole.alpha, whole.beta):
        nn.init.constant_(scalar, 1.0)
    without = NPNet(replace(SMALL, **{branch: False})).eval()
    kept = {name: tensor for name, tensor in whole.state_dict().items() if name in without.state_dict()}
    without.load_state_dict(kept)
    noise, text = inputs(SMALL)
    share = 2 * torch.sigmoid(whole.alpha) - 1
    with torch.no_grad():
        e = whole.text(noise, text.flatten(1))
        svd = whole.svd(*singular(fold(noise), "cpu"))
        expected = {
            "svd": noise + share * e + whole.residual(noise + e),
            "residual": svd + share * e,
            "text": svd + whole.residual(noise),
        }
        torch.testing.assert_close(without(noise, text), expected[branch])
        assert (whole(noise, text) - without(noise, text)).abs().max() > 0.01


def test_untrained_alpha_and_beta_leave_the_svd_branch_alone():
    torch.manual_seed(0)
    network = NPNet(SMALL).eval()
    noise, text = inputs(SMALL)
    with torch.no_grad():
        assert torch.equal(network(noise, text), network.svd(*singular(fold(noise), "cpu")))


def test_sizes_follow_the_model():
    assert suited((4, 128, 128), (77, 2048)) == PUBLISHED["sdxl"]
    assert suited((4, 8, 8), (18, 128)) == TINY
    with pytest.raises(BadValue, match=r"square latents of 4 channels.*\(16, 8, 8\)"):
        suited((16, 8, 8), (18, 128))
