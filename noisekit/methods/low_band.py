"""The low band of a noise, and drawing it afresh while the details stay: what SES searches, without the search.

    c(ε) = 2^ℓ·mean of ε over blocks of 2^ℓ × 2^ℓ        the Haar transform's low band of level ℓ, orthonormal
    ε′ = ε + up(c(ξ) − c(ε))/2^ℓ                           ξ ~ N(0, I), up: each number to its block

c of a normal noise is normal again and independent of the details, so ε′ is normal too. part="high" keeps the low band and
draws the details instead: ε′ = ξ + up(c(ε) − c(ξ))/2^ℓ. The bands, and ℓ = 4, are those of SES, arXiv 2602.03208 (see
`ses`); this is its control: one of the candidates of its first generation, chosen by nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from noisekit.errors import NotSupported
from noisekit.methods.base import NoiseMethod
from noisekit.methods.parameters import parameter
from noisekit.models.base import Model
from noisekit.noise import NoiseSource
from noisekit.types import Candidate, Cost

#: What the setting means wherever there are bands.
LEVEL = "level ℓ: one number of the low band for 2^ℓ × 2^ℓ of the noise"


@dataclass(frozen=True)
class LowBand(NoiseMethod):
    """One candidate: the initial noise with one of its two bands drawn afresh. It has no score."""

    level: int = parameter(LEVEL, paper=4, at_least=1, at_most=12)
    part: Literal["low", "high"] = parameter("the band that is drawn afresh", default="low")

    name = "low_band"
    cards = {"tiny": {"level": 2}, "tiny-turbo": {"level": 2}}

    @property
    def horizon(self) -> int:
        return 1

    def check(self, model: Model) -> None:
        super().check(model)
        check_level(self.name, self.level, model)

    def step_cost(self, model: Model) -> Cost:
        return Cost()

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        ours, fresh = source.initial, source.step(0)
        kept, band = (ours, fresh) if self.part == "low" else (fresh, ours)
        yield Candidate(with_low_band(kept, low_band(band, self.level), self.level))


def low_band(noise: Tensor, level: int) -> Tensor:
    """c (B, C, h/2^ℓ, w/2^ℓ) of noise (B, C, h, w)."""
    return _flat(avg_pool2d, noise, 2**level) * 2**level


def with_low_band(noise: Tensor, band: Tensor, level: int) -> Tensor:
    """The noise (B, C, h, w) whose low band is `band` and whose details are those of `noise`."""
    change = (band - low_band(noise, level)) / 2**level
    return noise + _flat(partial(interpolate, mode="nearest"), change, None, 2**level)


def _flat(over: Callable[..., Tensor], x: Tensor, *settings: Any) -> Tensor:
    """What an operation on pictures (n, C, h, w) gives for x (B, C, h, w), and for each frame where there are some."""
    done = over(x.flatten(0, -4), *settings)
    return done.view(*x.shape[:-2], *done.shape[-2:])


def check_level(method: str, level: int, model: Model) -> None:
    """Raise `NotSupported` unless the sides of a model's noise divide by 2^ℓ."""
    height, width = model.noise_shape[-2:]
    if height % 2**level or width % 2**level:
        most = next(ell for ell in range(level - 1, -1, -1) if height % 2**ell == width % 2**ell == 0)
        instead = f"give level={most}" if most else "give the model another size"
        raise NotSupported(
            f"method {method!r} cuts noise into blocks of {2**level} × {2**level}, and that of model {model.name!r} is "
            f"{height} × {width}; {instead}"
        )
