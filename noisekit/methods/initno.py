"""InitNO, the noise of it: draw and move the initial noise until the first step's attention sees every subject, unmixed.

    S_cross = 1 − min over subjects i of max over pixels of C_i
    S_self  = mean over pairs of Σ min(A_i, A_j) / Σ (A_i + A_j)        A_i: self-attention of the pixel where C_i peaks
    ε′ = μ + e^{ν/2}·ε        Adam on (μ, ν) for S_cross + S_self, the latter while S_cross ≤ 0.5
    then Adam on KL = mean ½·(e^ν + μ² − 1 − ν) until it is below 0.001

C is the softmax over the tokens of 100 × the cross-attention, without the first and last token, smoothed by a 3×3 kernel
∝ e^{−d²}, as A is; maps are means over the heads and layers of a quarter of the noise's side. Guo et al. 2024, "InitNO:
Boosting Text-to-Image Diffusion Models via Initial Noise Optimization", arXiv 2404.04650: five rounds of 10 iterations, each
from a fresh noise, and 50 more from the best; lr 0.01, Adam's epsilon 0.001; the conditional branch alone, no guidance.
Public code stops at S_cross < 0.2 and S_self < 0.3; here every image takes all iterations, so that its cost is known, and
the noise of least S_cross + S_self is delivered. It also runs Attend-and-Excite while sampling, and a term that cleans the
maps: both are left out, so that the image is that of the noise. Maps of tokens are means over a subject's tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from noisekit.errors import BadValue
from noisekit.methods.base import NoiseMethod
from noisekit.methods.parameters import parameter
from noisekit.methods.subjects import tokens_of
from noisekit.models.attention import reading
from noisekit.models.base import Conditioning, Marker, Model
from noisekit.noise import NoiseSource
from noisekit.types import Candidate, Cost

#: S_cross above which subjects are not there yet, and their mixing does not count.
ABSENT = 0.5
#: KL that a moved noise may have.
NORMAL = 1e-3
#: Steps towards it after which a learning rate is too large to get there.
MOST = 1000


@dataclass(frozen=True)
class InitNO(NoiseMethod):
    """Every iteration is a candidate: the noise that it looked at, scored by −(S_cross + S_self). Needs a UNet."""

    rounds: int = parameter("fresh noises; the first is the standard one", paper=5, at_least=1)
    iterations: int = parameter("looks at each", paper=10, at_least=1)
    more: int = parameter("further looks at each image's best round", paper=50, at_least=0)
    lr: float = parameter("learning rate of Adam; 0 only chooses among the rounds", paper=0.01, at_least=0)
    subjects: str | None = parameter("words with commas between; the prompt's (None: found by a fixed rule)")
    reduction: int = parameter("side of the noise over that of the maps", paper=4, at_least=1)

    name = "initno"
    objective = "attention"
    cards = {
        "tiny": {"reduction": 1, "rounds": 4, "more": 40},  # 256 calls an image
        "tiny-turbo": {"reduction": 1, "rounds": 2, "more": 0},  # 61
    }

    @property
    def horizon(self) -> int:
        return self.rounds * self.iterations + self.more

    @property
    def needs(self) -> tuple[Marker, ...]:
        return (Marker.DIFFERENTIABLE,)

    def check(self, model: Model) -> None:
        super().check(model)
        model.attending()

    def step_cost(self, model: Model) -> Cost:
        look = model.predict_cost(1.0)
        return look + Cost(denoiser_backward=look.denoiser)

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        _, tokenizer = model.attending()
        tokens = [tokens_of(tokenizer, text, self.subjects) for text in prompts]
        conditioning, best = (
            model.encode(prompts),
            [(-torch.inf, moves) for moves in self._moves(source.initial)],
        )
        for r in range(self.rounds + bool(self.more)):
            again = r == self.rounds
            moves = [move for _, move in best] if again else self._moves(source.draw(r))
            for _ in range(self.more if again else self.iterations):
                noise, cross, mixed, loss = self._look(model, conditioning, tokens, moves)
                loss.backward()
                score = -(cross + mixed)
                info = {"cross": cross, "self": mixed, "norm": noise.flatten(1).norm(dim=1)}
                yield Candidate(noise, score, info=info)
                for i, move in enumerate(moves):
                    move.step()
                    best[i] = max(best[i], (score[i].item(), move), key=lambda own: own[0])

    def _moves(self, noise: Tensor) -> list[Move]:
        return [Move(own, self.lr) for own in noise]

    def _look(
        self, model: Model, conditioning: Conditioning, tokens: list[list[list[int]]], moves: list[Move]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The noise (B, C, h, w) as it is now, its S_cross and S_self (B,), and the sum of the losses."""
        height, width = (side // self.reduction for side in model.noise_shape[-2:])
        unet, _ = model.attending()
        with torch.enable_grad(), reading(unet) as attention:
            noise = torch.stack([move.noise for move in moves])
            predicted = model.predict(
                noise, model.sampler_grid(model.card.steps).timestep(0), conditioning, 1.0
            )
            words, own = (attention.mean(kind, height * width) for kind in ("cross", "own"))
            if words is None or own is None:
                sizes = sorted({one.shape[1] for one in attention.cross.values()})
                raise BadValue(
                    f"model {model.name!r} has no attention over {height} × {width} pixels (it has over {sizes}); give "
                    "another reduction"
                )
            shaped = words.unflatten(1, (height, width)), own.unflatten(1, (height, width))
            pairs = [scores(c, s, found) for c, s, found in zip(*shaped, tokens, strict=True)]
            cross, mixed = (torch.stack(parts) for parts in zip(*pairs, strict=True))
            loss = (cross + mixed * (cross <= ABSENT)).sum()
            loss = loss + 0 * predicted.sum()  # so that the gradient's way through the network is counted
        return noise.detach(), cross.detach(), mixed.detach(), loss


class Move:
    """One sample's ε′ = μ + e^{ν/2}·ε, and the optimiser of μ and ν."""

    def __init__(self, noise: Tensor, lr: float) -> None:
        self.drawn = noise
        self.shift, self.log_variance = (torch.zeros_like(noise, requires_grad=True) for _ in range(2))
        self.adam = torch.optim.Adam([self.shift, self.log_variance], lr, eps=1e-3)

    @property
    def noise(self) -> Tensor:
        return self.shift + (self.log_variance / 2).exp() * self.drawn

    def step(self) -> None:
        """Follow the gradient that is there, and then that of KL while it is too large."""
        self.adam.step()
        with torch.enable_grad():
            for _ in range(MOST):
                if not (kl := divergence(self.shift, self.log_variance)) > NORMAL:
                    break
                self.adam.zero_grad()
                kl.backward()
                self.adam.step()
        self.adam.zero_grad()


def divergence(shift: Tensor, log_variance: Tensor) -> Tensor:
    """mean ½·(e^ν + μ² − 1 − ν), the KL of an element from N(0, 1)."""
    return ((log_variance.exp() + shift**2 - 1 - log_variance) / 2).mean()


def scores(cross: Tensor, own: Tensor, subjects: list[list[int]]) -> tuple[Tensor, Tensor]:
    """S_cross and S_self of one sample, of its maps (h, w, tokens) and (h, w, h·w) and its subjects' tokens."""
    words = (100 * cross[..., 1:-1]).softmax(-1)
    maps = [smoothed(words[..., [i - 1 for i in tokens]].mean(-1)) for tokens in subjects]
    seen = 1 - torch.stack([one.max() for one in maps]).min()
    height, width = cross.shape[:2]
    rows = [smoothed(own.flatten(0, 1)[one.argmax()].view(height, width)) for one in maps]
    shared = [torch.minimum(a, b).sum() / (a + b).sum() for a, b in combinations(rows, 2)]
    return seen, torch.stack(shared).mean() if shared else torch.zeros_like(seen)


def smoothed(image: Tensor) -> Tensor:
    """A map (h, w) under the 3×3 kernel ∝ e^{−d²}, mirrored at its edges."""
    side = torch.tensor([-1.0, 0.0, 1.0], device=image.device)
    kernel = torch.exp(-(side[:, None] ** 2) - side**2)
    padded = pad(image[None, None], (1, 1, 1, 1), mode="reflect")
    return conv2d(padded, (kernel / kernel.sum())[None, None])[0, 0]
