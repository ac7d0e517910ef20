"""NPNet written out in plain loops over numpy arrays, from the paper and the facts about its public code.

Weights come in the layout of the published files: {"unet_svd", "unet_embedding", "embeeding", "alpha", "beta"}.
"""

from __future__ import annotations

import numpy as np


def npnet(weights, backbone, x, text, factors, heads):
    """Golden noise (B, 4, h, h); backbone: images (B, 3, S, S) to features (B, rows, columns, width)."""
    e = ada_group_norm(weights["embeeding"], x, text)
    share = 2 / (1 + np.exp(-weights["alpha"].item())) - 1
    return (
        svd_branch(weights["unet_svd"], factors, heads)
        + share * e
        + weights["beta"].item() * residual_branch(weights["unet_embedding"], backbone, x + e)
    )


def ada_group_norm(weights, x, text):
    """(1 + scale)·GN(x) + shift, one group over all channels and pixels."""
    out = np.empty_like(x)
    for b in range(len(x)):
        numbers = weights["linear.weight"] @ text[b].reshape(-1) + weights["linear.bias"]
        scale, shift = numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]
        normal = (x[b] - x[b].mean()) / np.sqrt(x[b].var() + 1e-6)
        for c in range(x.shape[1]):
            out[b, c] = normal[c] * (1 + scale[c]) + shift[c]
    return out


def folded(x):
    """Element (a·h + i, c·w + j) of the matrix is pixel (i, j) of channel 2·a + c."""
    b, _, h, w = x.shape
    matrix = np.empty((b, 2 * h, 2 * w))
    for a in range(2):
        for c in range(2):
            matrix[:, a * h : (a + 1) * h, c * w : (c + 1) * w] = x[:, 2 * a + c]
    return matrix


def unfolded(matrix):
    b, rows, columns = matrix.shape
    h, w = rows // 2, columns // 2
    x = np.empty((b, 4, h, w))
    for a in range(2):
        for c in range(2):
            x[:, 2 * a + c] = matrix[:, a * h : (a + 1) * h, c * w : (c + 1) * w]
    return x


def svd_branch(weights, factors, heads):
    def linear(name, rows):
        return rows @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def mlp(name, rows):
        return linear(f"{name}.2", np.maximum(linear(f"{name}.0", rows), 0))

    matrices = []
    for u, s, vh in zip(*factors, strict=True):
        hidden = mlp("mlp1", u.T) + mlp("mlp2", vh) + linear("mlp3.0", s)
        width = hidden.shape[1] // heads
        queries, keys, values = np.split(hidden @ weights["attention.qkv.weight"].T, 3, axis=1)
        parts = []
        for head in range(heads):
            own = slice(head * width, (head + 1) * width)
            scores = queries[:, own] @ keys[:, own].T / np.sqrt(width)
            shares = np.exp(scores - scores.max(1, keepdims=True))
            parts.append(shares / shares.sum(1, keepdims=True) @ values[:, own])
        attended = linear("attention.proj", np.concatenate(parts, 1))
        matrices.append(u @ np.diag(mlp("mlp4", attended.mean(0)) + s) @ vh)
    return unfolded(np.stack(matrices))


def nearest(x, height, width):
    """Nearest-neighbour resizing of the last two axes: pixel i comes from ⌊i·in/out⌋."""
    rows = [i * x.shape[2] // height for i in range(height)]
    columns = [j * x.shape[3] // width for j in range(width)]
    return x[:, :, rows][:, :, :, columns]


def residual_branch(weights, backbone, x):
    """The features' rows are taken for channels, their columns and widths for height and width."""

    def mixed(name, maps):
        kernel, bias = weights[f"{name}.weight"][:, :, 0, 0], weights[f"{name}.bias"]
        return np.einsum("oc,bchw->bohw", kernel, maps) + bias[:, None, None]

    side = backbone.image
    features = backbone(mixed("downconv", nearest(x, side, side)))
    return mixed("upconv", nearest(features, x.shape[2], x.shape[3]))
