"""The cross-attention of MPS: image tokens ask text tokens, and then each other, in pre-normalised blocks.

    x ← x + A(n, c, c) + F(n)          n = norm(x): image tokens n ask text tokens c; masked tokens are not heard
    x ← x + S(n, n, n) + F′(n)         n = norm(x): image tokens ask each other, with rotary positions
    A(n, k, v)_h = softmax(Q_h n · (K k)ᵀ / √d) V v        F(n) = W (a ⊙ silu(b)),  (a, b) = U n

One key and one value serve all heads h ("multi-query", Shazeer 2019, arXiv 1911.02150), attention and feed-forward run
side by side, norms have no bias and text tokens c are not normalised: as in MPS's released network (Zhang et al. 2024,
arXiv 2405.14705).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Base of the rotary frequencies (Su et al. 2021, arXiv 2104.09864).
ROTARY = 10_000.0


class CrossAttention(nn.Module):
    """Image tokens (B, N, width) with text tokens (B, L, width) to image tokens (B, N, width)."""

    def __init__(self, width: int, layers: int, heads: int, head_width: int, expansion: int = 4) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(width, heads, head_width, expansion) for _ in range(layers))

    def forward(self, image: Tensor, text: Tensor, mask: Tensor) -> Tensor:
        """mask: which text tokens are heard, (B, L) boolean, at least one a row."""
        for layer in self.layers:
            image = layer(image, text, mask)
        return image


class Layer(nn.Module):
    """One block that asks the text and one that asks the image itself."""

    def __init__(self, width: int, heads: int, head_width: int, expansion: int) -> None:
        super().__init__()
        self.cross = Cross(width, heads, head_width, expansion)
        self.own = Own(width, heads, head_width, expansion)

    def forward(self, image: Tensor, text: Tensor, mask: Tensor) -> Tensor:
        image = image + self.cross(image, text, mask)
        return image + self.own(image)


class Cross(nn.Module):
    """A + F of the first line."""

    def __init__(self, width: int, heads: int, head_width: int, expansion: int) -> None:
        super().__init__()
        self.heads, self.hidden = heads, expansion * width
        self.norm = nn.LayerNorm(width, bias=False)
        self.query = nn.Linear(width, heads * head_width, bias=False)
        self.key_value = nn.Linear(width, 2 * head_width, bias=False)
        self.out = nn.Linear(heads * head_width, width, bias=False)
        self.widen = nn.Linear(width, 2 * self.hidden, bias=False)
        self.narrow = nn.Linear(self.hidden, width, bias=False)

    def forward(self, image: Tensor, text: Tensor, mask: Tensor) -> Tensor:
        image = self.norm(image)
        key, value = self.key_value(text).chunk(2, dim=-1)
        heard = attend(split_heads(self.query(image), self.heads), key, value, mask)
        return self.out(heard) + self.narrow(gated(self.widen(image)))


class Own(nn.Module):
    """S + F′ of the second line; one matrix makes queries, key, value and the feed-forward's two halves."""

    def __init__(self, width: int, heads: int, head_width: int, expansion: int) -> None:
        super().__init__()
        self.heads, self.sizes = heads, (heads * head_width, head_width, head_width, 2 * expansion * width)
        self.norm = nn.LayerNorm(width, bias=False)
        self.fused = nn.Linear(width, sum(self.sizes), bias=False)
        self.out = nn.Linear(heads * head_width, width, bias=False)
        self.narrow = nn.Linear(expansion * width, width, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        query, key, value, wide = self.fused(self.norm(image)).split(self.sizes, dim=-1)
        query, key = rotated(split_heads(query, self.heads)), rotated(key)
        return self.out(attend(query, key, value)) + self.narrow(gated(wide))


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Queries (B, h, N, d) with one key and value (B, L, d) and mask (B, L) to (B, N, h·d)."""
    scores = query @ key[:, None].transpose(-1, -2) / query.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, None], -torch.inf)
    heard = scores.softmax(-1) @ value[:, None]
    return heard.transpose(1, 2).flatten(2)


def split_heads(tokens: Tensor, heads: int) -> Tensor:
    """(B, N, h·d) to (B, h, N, d)."""
    return tokens.unflatten(-1, (heads, -1)).transpose(1, 2)


def gated(wide: Tensor) -> Tensor:
    """a ⊙ silu(b) of (..., 2w), whose halves are a and b."""
    value, gate = wide.chunk(2, dim=-1)
    return value * F.silu(gate)


def rotated(tokens: Tensor) -> Tensor:
    """Tokens (..., N, d): coordinates j and j + d/2 of token n turned by the angle n · 10000^(−2j/d)."""
    count, width = tokens.shape[-2:]
    index = torch.arange(0, width, 2, device=tokens.device, dtype=tokens.dtype)
    place = torch.arange(count, device=tokens.device, dtype=tokens.dtype)
    angle = place[:, None] / ROTARY ** (index / width)
    first, second = tokens.chunk(2, dim=-1)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
