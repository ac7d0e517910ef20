"""Reading a UNet's attention while it predicts: which pixels look at which words, and at which pixels.

    A = softmax(q·kᵀ/√d_head)        (B, queries, keys), the mean over the heads of a layer

A recorder stands before a layer's own processor, forms A by the layer's own projections, and lets the processor do its work:
what the network gives is what it gives unread, to the bit. Every processor is put back at the end, whatever happened.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


class Attention:
    """The maps of one prediction, by the name of their layer; a layer that is computed twice is kept once.

    Attributes:
        cross: pixels by tokens, (B, h·w, tokens) each.
        own: pixels by pixels, (B, h·w, h·w) each.
    """

    def __init__(self) -> None:
        self.cross: dict[str, Tensor] = {}
        self.own: dict[str, Tensor] = {}

    def mean(self, kind: str, pixels: int) -> Tensor | None:
        """The mean of all maps of a kind, "cross" or "own", with so many pixels (B, h·w, …); None where there are none."""
        maps = [one for one in getattr(self, kind).values() if one.shape[1] == pixels]
        return torch.stack(maps).mean(0) if maps else None


@contextmanager
def reading(unet: Any) -> Iterator[Attention]:
    """Record the attention of what `unet` computes inside; its processors are as before afterwards."""
    found = Attention()
    before = dict(unet.attn_processors)
    kinds = {name: found.own if ".attn1." in name else found.cross for name in before}
    unet.set_attn_processor({name: _Recorder(own, kinds[name], name) for name, own in before.items()})
    try:
        yield found
    finally:
        unet.set_attn_processor(dict(before))  # which empties what it is given


class _Recorder:
    """A processor before a processor."""

    def __init__(self, own: Any, maps: dict[str, Tensor], name: str) -> None:
        self.own, self.maps, self.name = own, maps, name

    def __call__(
        self, layer: Any, states: Tensor, context: Tensor | None = None, *rest: Any, **more: Any
    ) -> Tensor:
        keys = more.get("encoder_hidden_states", context)
        keys = (
            states if keys is None else layer.norm_encoder_hidden_states(keys) if layer.norm_cross else keys
        )
        query, key = (layer.head_to_batch_dim(x) for x in (layer.to_q(states), layer.to_k(keys)))
        scores = layer.get_attention_scores(query, key)
        self.maps[self.name] = scores.unflatten(0, (len(states), -1)).mean(1).float()
        given = () if context is None else (context, *rest)
        output: Tensor = self.own(layer, states, *given, **more)
        return output
