"""NPNet: one forward pass from a random noise x and a prompt to a golden noise.

    golden = svd(x) + (2·sigmoid(α) − 1)·e + β·residual(x + e)
    e = (1 + γ)·GN(x) + δ                      (γ, δ) = W·text + b, a pair of numbers a channel: AdaGroupNorm, one group

    svd(x)       X = U·diag(s)·Vh, x with its four channels laid out as a 2 × 2 of maps
                 H = mlp1(Uᵀ) + mlp2(Vh) + 1·mlp3(s)ᵀ        ŝ = s + mlp4(mean over rows of attention(H))
                 U·diag(ŝ)·Vh, laid back
    residual(x)  resize to the transformer's image, 4 → 3 channels, Swin, resize back, → 4 channels

Zhou et al. 2024, "Golden Noise for Diffusion Models", arXiv 2411.09502, and its public code. The Swin's output lies as rows
× columns × features; the published network reads it as channels × height × width, that is, its 7 rows as channels, and
stretches the 7 columns × 768 features over the latent. The published weights were trained so, so this does the same.

Signs of singular vectors are arbitrary and differ between devices and libraries, and H depends on them: the device of the
decomposition is an argument of its own, by default the host. All is fp32; in eval mode, in which noisekit runs it, the
result is deterministic (the public inference code leaves the Swin's drop path on).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from diffusers.models.normalization import AdaGroupNorm
from timm.layers import Attention
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn
from torch.nn.functional import interpolate

from noisekit.errors import BadValue, CorruptWeights
from noisekit.flops import Worker

#: Channels of the latents that NPNet takes: a 2 × 2 of maps makes the square matrix of the svd branch.
CHANNELS = 4


#: The configuration's numbers, and what a transformer may have: blocks, and places of the mask that shifts its windows.
NUMBERS = ("size", "tokens", "width", "hidden", "expansion", "heads", "image", "patch", "window", "embed")
LARGEST_DEPTH, LARGEST_MASK = 256, 2**24


@dataclass(frozen=True)
class NPNetConfig:
    """Sizes and branches; the defaults are the published network for SDXL.

    size: height and width of the latent. tokens, width: shape of the prompt's embedding. hidden, expansion: of mlp1 and
    mlp2, and of mlp4. image, patch, window, embed, depths, swin_heads: the Swin transformer. A branch that is off is left
    out: without svd, ŝ = s; without text, e = 0.
    """

    size: int = 128
    tokens: int = 77
    width: int = 2048
    hidden: int = 64
    expansion: int = 1024
    heads: int = 8
    image: int = 224
    patch: int = 4
    window: int = 7
    embed: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    swin_heads: tuple[int, ...] = (3, 6, 12, 24)
    svd: bool = True
    residual: bool = True
    text: bool = True

    def __post_init__(self) -> None:
        lists = (self.depths, self.swin_heads)
        numbers = [getattr(self, name) for name in NUMBERS]
        if not all(
            isinstance(part, tuple) and 1 <= len(part) == len(self.depths) <= 8 for part in lists
        ) or not all(type(n) is int and 1 <= n <= 2**20 for part in (numbers, *lists) for n in part):
            raise BadValue(
                f"sizes {self} of an NPNet are not whole numbers of 1 or more that a network can have"
            )
        if not all(type(getattr(self, name)) is bool for name in ("svd", "residual", "text")):
            raise BadValue(f"branches {self} of an NPNet are not on or off")
        if sum(self.depths) > LARGEST_DEPTH or (self.image // self.patch * self.window) ** 2 > LARGEST_MASK:
            raise BadValue(f"the transformer of an NPNet {self} is too large")
        if self.residual and (
            self.rows < 1 or any(self.embed * 2**i % h for i, h in enumerate(self.swin_heads))
        ):
            raise BadValue(
                f"the image or the heads of the transformer of an NPNet {self} do not go with its stages"
            )
        if self.svd and 2 * self.size % self.heads:
            raise BadValue(
                f"heads={self.heads} of an NPNet do not divide the {2 * self.size} rows of its noise"
            )

    @property
    def noise_shape(self) -> tuple[int, int, int]:
        return (CHANNELS, self.size, self.size)

    @property
    def rows(self) -> int:
        """Rows and columns of the Swin's output."""
        return self.image // (self.patch * 2 ** (len(self.depths) - 1))

    def json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> NPNetConfig:
        lists: dict[str, Any] = {name: tuple(values[name]) for name in ("depths", "swin_heads")}
        return cls(**(values | lists))


#: The published networks by model.
PUBLISHED = {"sdxl": NPNetConfig(), "dreamshaper": NPNetConfig(), "dit": NPNetConfig(width=1024)}

#: The network for latents of 8 × 8, 170,000 parameters.
TINY = NPNetConfig(
    size=8,
    tokens=18,
    width=128,
    expansion=256,
    heads=4,
    image=32,
    patch=2,
    window=4,
    embed=32,
    depths=(2, 2),
    swin_heads=(2, 4),
)


def suited(noise_shape: tuple[int, ...], text_shape: tuple[int, int]) -> NPNetConfig:
    """The configuration for a model: the published transformer from 64 × 64 up, the tiny one below.

    noise_shape: (C, h, w) of the model; text_shape: (L, D) of its prompt embeddings. Raises `BadValue` where the latents
    are not square or have other than four channels.
    """
    *channels, height, width = noise_shape
    if channels != [CHANNELS] or height != width:
        raise BadValue(
            f"NPNet takes square latents of {CHANNELS} channels, and the model's are {noise_shape}"
        )
    like = PUBLISHED["sdxl"] if height >= 64 else TINY
    return replace(like, size=height, tokens=text_shape[0], width=text_shape[1])


class NPNet(nn.Module, Worker):
    """The network; α and β start at 0, so that what an untrained one adds to svd(x) is nothing.

    `card` tells how the weights were made. Files are read and written by `noisekit.npnet.checkpoint`, a hub's by
    `noisekit.npnet.hub`.
    """

    def __init__(self, config: NPNetConfig) -> None:
        super().__init__()
        self.config = config
        self.card: dict[str, Any] = {}
        self.svd = SVDBranch(config) if config.svd else None
        self.residual = ResidualBranch(config) if config.residual else None
        self.text = AdaGroupNorm(config.tokens * config.width, CHANNELS, 1, eps=1e-6) if config.text else None
        self.alpha = nn.Parameter(torch.zeros(1)) if config.text else None
        self.beta = nn.Parameter(torch.zeros(1)) if config.residual else None

    def forward(self, noise: Tensor, text: Tensor | None, svd_device: torch.device | str = "cpu") -> Tensor:
        """Golden noise (B, 4, h, h) in fp32 for noise of that shape and prompt embeddings (B, L, D).

        Without embeddings the text branch is left out: e = 0.
        """
        x = noise.float()
        golden = x if self.svd is None else self.svd(*singular(fold(x), svd_device))
        if text is not None and self.text is not None and self.alpha is not None:
            e = self.text(x, text.float().flatten(1))
            golden = golden + (2 * torch.sigmoid(self.alpha) - 1) * e
            x = x + e
        if self.residual is not None and self.beta is not None:
            golden = golden + self.beta * self.residual(x)
        return golden

    def specimen(self, network: str) -> tuple[Callable[[Tensor], Tensor], Tensor] | None:
        """One noise, with its prompt."""
        if network != "predictor":
            return None
        device, config = next(self.parameters()).device, self.config
        text = torch.zeros(1, config.tokens, config.width, device=device)
        noise = torch.zeros(1, *config.noise_shape, device=device)
        return lambda x: self(x, text), noise

    @classmethod
    def filled(cls, config: NPNetConfig, weights: Mapping[str, Tensor], source: str) -> NPNet:
        """The network with all these weights, no more and no fewer, frozen for use; `source` names them in errors.

        Nothing is allocated before they are known to fit. Raises `CorruptWeights` for a tensor that lacks, is one too many,
        has another shape or type, or is not finite.
        """
        from accelerate import init_empty_weights

        try:
            with init_empty_weights():
                empty = cls(config)
        except (ValueError, TypeError, RuntimeError, AssertionError, ArithmeticError) as error:
            raise CorruptWeights(f"{source!r} has a configuration of no NPNet ({error})") from error
        empty._check(weights, source)
        network = cls(config)
        network.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
        return network.eval().requires_grad_(False)

    def _check(self, weights: Mapping[str, Tensor], source: str) -> None:
        own = self.state_dict()
        for name in [*own, *weights]:
            if name not in weights:
                raise CorruptWeights(f"{source!r} lacks tensor {name!r} of NPNet; copy it again")
            if name not in own:
                raise CorruptWeights(
                    f"{source!r} holds a tensor {name!r}, which NPNet has not; check that it is of this network"
                )
            found, expected = tuple(weights[name].shape), tuple(own[name].shape)
            if found != expected:
                raise CorruptWeights(
                    f"{source!r} holds tensor {name!r} of shape {found} where {expected} was expected; check that it is of "
                    "this network"
                )
            if not weights[name].is_floating_point():
                raise CorruptWeights(
                    f"{source!r} holds tensor {name!r} of type {weights[name].dtype}, and a network's are floating-point "
                    "numbers; copy it again"
                )
            if not torch.isfinite(weights[name].float()).all():
                raise CorruptWeights(
                    f"{source!r} holds values that are not finite, in {name!r}; copy it again"
                )


class SVDBranch(nn.Module):
    """Predicts the singular values of the golden noise from the decomposition of the noise."""

    def __init__(self, config: NPNetConfig) -> None:
        super().__init__()
        side = 2 * config.size

        def narrow(inner: int) -> nn.Sequential:
            return nn.Sequential(nn.Linear(side, inner), nn.ReLU(), nn.Linear(inner, side))

        self.mlp1, self.mlp2 = narrow(config.hidden), narrow(config.hidden)
        self.mlp3 = nn.Sequential(nn.Linear(side, side))
        self.mlp4 = narrow(config.expansion)
        self.attention = Attention(side, num_heads=config.heads)

    def forward(self, u: Tensor, s: Tensor, vh: Tensor) -> Tensor:
        """(B, 4, h, h) from U (B, 2h, 2h), s (B, 2h) and Vh (B, 2h, 2h)."""
        rows = self.mlp1(u.mT) + self.mlp2(vh) + self.mlp3(s)[:, None]
        golden = s + self.mlp4(self.attention(rows).mean(1))
        return unfold((u * golden[:, None]) @ vh)


class ResidualBranch(nn.Module):
    """What a Swin transformer sees in the noise as a picture."""

    def __init__(self, config: NPNetConfig) -> None:
        super().__init__()
        self.size, self.image = config.size, config.image
        self.downconv = nn.Conv2d(CHANNELS, 3, 1)
        self.swin = SwinTransformer(
            img_size=config.image,
            patch_size=config.patch,
            window_size=config.window,
            embed_dim=config.embed,
            depths=config.depths,
            num_heads=config.swin_heads,
            num_classes=0,
        )
        self.upconv = nn.Conv2d(config.rows, CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 4, h, h) from x of that shape."""
        features = self.swin.forward_features(self.downconv(interpolate(x, self.image)))
        # (B, rows, columns, features) read as (B, channels, height, width): see the head of this file.
        return self.upconv(interpolate(features, self.size))


def fold(x: Tensor) -> Tensor:
    """(B, 4, h, w) as matrices (B, 2h, 2w): channels 0 and 1 side by side, 2 and 3 below them."""
    b, c, h, w = x.shape
    return x.view(b, 2, c // 2, h, w).transpose(2, 3).reshape(b, 2 * h, c // 2 * w)


def unfold(matrix: Tensor) -> Tensor:
    """The inverse of `fold`."""
    b, rows, columns = matrix.shape
    return (
        matrix.view(b, 2, rows // 2, 2, columns // 2).transpose(2, 3).reshape(b, 4, rows // 2, columns // 2)
    )


def singular(matrix: Tensor, device: torch.device | str) -> tuple[Tensor, Tensor, Tensor]:
    """U, s and Vh of square matrices, found on `device` and put back where the matrices are."""
    u, s, vh = torch.linalg.svd(matrix.to(device))
    return u.to(matrix.device), s.to(matrix.device), vh.to(matrix.device)
