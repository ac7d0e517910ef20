"""Files as the authors of NPNet published them, with random weights."""

from __future__ import annotations

from dataclasses import replace

import torch
from timm.models.swin_transformer import SwinTransformer
from torch import nn

from noisekit.npnet.network import CHANNELS, TINY, NPNetConfig
from noisekit.npnet.pairs import Collection
from noisekit.npnet.stream import Batch, batches, select

#: A network with every feature of the published one, and two stages of the Swin after the first.
SMALL = replace(TINY, tokens=5, width=12, image=32, patch=1, embed=8, depths=(1, 2, 1), swin_heads=(1, 2, 4))


def published_file(config: NPNetConfig, seed=0):
    """Random weights as the public code saves them with a Swin of timm 0.6, and the Swin itself; α and β of order 1."""
    torch.manual_seed(seed)
    side = 2 * config.size

    def mlp(inner):
        return nn.Sequential(nn.Linear(side, inner), nn.ReLU(), nn.Linear(inner, side))

    attention = nn.ModuleDict({"qkv": nn.Linear(side, 3 * side, bias=False), "proj": nn.Linear(side, side)})
    svd = nn.ModuleDict({"mlp1": mlp(config.hidden), "mlp2": mlp(config.hidden), "attention": attention})
    svd.update({"mlp3": nn.Sequential(nn.Linear(side, side)), "mlp4": mlp(config.expansion)})
    svd["bn"] = nn.BatchNorm2d(side)
    swin = SwinTransformer(
        img_size=config.image,
        patch_size=config.patch,
        window_size=config.window,
        embed_dim=config.embed,
        depths=config.depths,
        num_heads=config.swin_heads,
    )
    residual = {f"swin.{name}": tensor for name, tensor in swin.state_dict().items()}
    for stage in range(1, len(config.depths)):  # timm 0.6 counted downsampling to the stage before
        for name in [name for name in residual if name.startswith(f"swin.layers.{stage}.downsample.")]:
            residual[name.replace(f"layers.{stage}", f"layers.{stage - 1}")] = residual.pop(name)
    for name in [name for name in residual if name.startswith("swin.head.fc.")]:
        residual[name.replace("head.fc", "head")] = residual.pop(name)
    residual["swin.layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(16, 16, dtype=torch.long)
    residual["swin.layers.0.blocks.1.attn_mask"] = torch.zeros(4, 16, 16)
    for name, channels in (("downconv", (CHANNELS, 3)), ("upconv", (config.rows, CHANNELS))):
        conv = nn.Conv2d(*channels, 1)
        residual |= {f"{name}.weight": conv.weight.detach(), f"{name}.bias": conv.bias.detach()}
    text = nn.Linear(config.tokens * config.width, 8)
    return {
        "unet_svd": svd.state_dict(),
        "unet_embedding": residual,
        "embeeding": {f"linear.{name}": tensor for name, tensor in text.state_dict().items()},
        "alpha": torch.tensor([1.3], requires_grad=True),
        "beta": torch.tensor([-0.8], requires_grad=True),
    }, swin


def inputs(config, batch=2):
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(batch, *config.noise_shape, generator=generator)
    return noise, torch.randn(batch, config.tokens, config.width, generator=generator)


def everything(collection: Collection, metric: str | None = None, margin: float = 0.0) -> Batch:
    """All pairs that a filter keeps, in the order of writing."""
    kept = select(collection, metric, margin)
    (batch,) = batches(kept, torch.arange(len(kept)), len(kept))
    return batch
