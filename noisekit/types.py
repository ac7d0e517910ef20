"""The values that flow through noisekit: a budget goes in, candidates come by, a result goes out.

A method searches for an initial noise ε of unit variance, one per sample of a batch. Everything here is frozen and
batch-first: B samples, noise (B, C, h, w), images (B, 3, H, W) in [0, 1], scores (B,) where higher is better. Where a
sample is a sequence of F frames, its noise is (F, C, h, w) and its images are (F, 3, H, W), wherever these shapes stand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, Self

from noisekit.errors import BadValue

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

#: Whether noise is keyed by seed and prompt, by the seed alone, or drawn as the papers' scripts do; see `noise`.
Convention = Literal["per_prompt", "shared", "published"]

#: Seeds are whole numbers up to this one, which tables and generators everywhere hold.
LARGEST_SEED = 2**63 - 1

#: Characters of a prompt beyond which it is refused: text encoders read under 100 words.
LONGEST_PROMPT = 4096


@dataclass(frozen=True)
class Cost:
    """What one image took: network evaluations (one sample through one network counts 1), seconds, and memory.

    Classifier-free guidance evaluates the denoiser twice, so it counts 2. A backward pass counts separately.

    Args:
        denoiser: evaluations of the network that samples; `denoiser_backward` of its gradient.
        denoiser_backward: see `denoiser`, and so for the others.
        decoder: latents to image.
        decoder_backward: its gradient.
        reward: one image by one reward.
        reward_backward: its gradient.
        predictor: of a network that proposes noises, as NPNet does.
        seconds: from prompt to image, final sampling and decoding included, divided by the batch size; loading and warm-up
            are out.
        peak_memory: the device's high-water mark in bytes for the whole batch, None where the device does not tell.
        flops: floating-point operations of all these evaluations (`noisekit.flops`), None where they are not known.
        equivalents: the same, in evaluations of the model's denoiser.
    """

    denoiser: float = 0.0
    denoiser_backward: float = 0.0
    decoder: float = 0.0
    decoder_backward: float = 0.0
    reward: float = 0.0
    reward_backward: float = 0.0
    predictor: float = 0.0
    seconds: float = 0.0
    peak_memory: int | None = None
    flops: float | None = None
    equivalents: float | None = None

    @property
    def calls(self) -> float:
        """Denoiser evaluations, a backward pass counted as two forward ones (its usual price)."""
        return self.denoiser + 2.0 * self.denoiser_backward

    def __add__(self, other: Cost) -> Cost:
        counts = {name: getattr(self, name) + getattr(other, name) for name in COUNTED}
        peaks = [peak for peak in (self.peak_memory, other.peak_memory) if peak is not None]
        return Cost(
            **counts,
            seconds=self.seconds + other.seconds,
            peak_memory=max(peaks, default=None),
            flops=_sum(self.flops, other.flops),
            equivalents=_sum(self.equivalents, other.equivalents),
        )

    def __mul__(self, times: float) -> Cost:
        counts = {name: getattr(self, name) * times for name in COUNTED}
        flops, equivalents = (None if own is None else own * times for own in (self.flops, self.equivalents))
        return Cost(
            **counts,
            seconds=self.seconds * times,
            peak_memory=self.peak_memory,
            flops=flops,
            equivalents=equivalents,
        )


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


#: The networks whose evaluations are counted, as field names of `Cost`.
COUNTED = tuple(
    f.name for f in fields(Cost) if f.name not in ("seconds", "peak_memory", "flops", "equivalents")
)


@dataclass(frozen=True)
class Budget:
    """The most that a method may spend on ONE image, final sampling and decoding included; None is unlimited.

    Candidates, calls and equivalents give the same result in any batch; seconds need not. Memory is no budget: a search does
    not use it up, it needs as much for its first candidate as for its last. `pick` takes it as a limit.

    Args:
        seconds: wall-clock; a batch of B images may take B times as long.
        calls: `Cost.calls`, of the denoiser alone.
        candidates: that the search may propose.
        equivalents: `Cost.equivalents`, the operations of all networks in evaluations of the denoiser.

    Raises:
        BadValue: where one is not above 0.
    """

    seconds: float | None = None
    calls: float | None = None
    candidates: int | None = None
    equivalents: float | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and not value > 0:
                raise BadValue(
                    f"budget {name}={value!r} is not a positive number; give more than 0 or leave it out"
                )


@dataclass(frozen=True)
class Arm:
    """What competes in a comparison: a resolved method under a budget. A search that is read off at a checkpoint counts as
    the search under that budget.

    Args:
        method: As `str` prints it, "reno(steps=50)".
        budget: Of one image.
    """

    method: str
    budget: Budget = Budget()

    def __str__(self) -> str:
        """As tables show it, "reno(steps=50) @ 2s, 20 calls"; nothing reads it back."""
        limits = {
            "s": self.budget.seconds,
            " calls": self.budget.calls,
            " candidates": self.budget.candidates,
            " equivalents": self.budget.equivalents,
        }
        given = [f"{limit:g}{unit}" for unit, limit in limits.items() if limit is not None]
        return f"{self.method} @ {', '.join(given)}" if given else self.method

    @property
    def columns(self) -> dict[str, Any]:
        """In the tables of a store."""
        limits = asdict(self.budget)
        return {"method": self.method} | {f"budget_{name}": limit for name, limit in limits.items()}

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        """From `columns`; a limit is None or NaN where there is none."""
        limits = {own.name: row.get(f"budget_{own.name}") for own in fields(Budget)}
        given = {name: limit for name, limit in limits.items() if limit is not None and limit == limit}
        if "candidates" in given:
            given["candidates"] = int(given["candidates"])
        return cls(row["method"], Budget(**given))


@dataclass(frozen=True)
class Candidate:
    """One proposal of a search, for the B samples of a batch.

    Args:
        noise: (B, C, h, w), of unit variance.
        score: (B,), higher is better, or None where the method has none.
        images: (B, 3, H, W) in [0, 1] when they were decoded on the way.
        info: per-sample figures (B,) that the trace keeps, such as the cosine or the norm.
        injected: the noises (B, n, C, h, w) that a stochastic sampler injects on the way, where the search chose them; None:
            those that the sampler draws by itself.
    """

    noise: Tensor
    score: Tensor | None = None
    images: Tensor | None = None
    info: Mapping[str, Tensor] = field(default_factory=dict)
    injected: Tensor | None = None


@dataclass(frozen=True)
class TracePoint:
    """One candidate as the trace keeps it, all on the host.

    Args:
        step: the candidate's number, from 0.
        cost: what an image took so far.
        score: of every sample, or None.
        best: the best score so far of every sample, or None.
        info: the candidate's other figures, by name.
    """

    step: int
    cost: Cost
    score: tuple[float, ...] | None
    best: tuple[float, ...] | None
    info: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Trace:
    """A search as it went, one point a candidate."""

    points: tuple[TracePoint, ...] = ()

    def __len__(self) -> int:
        return len(self.points)

    def rows(self) -> list[dict[str, float]]:
        """One row per (candidate, sample): step, sample, calls and seconds so far, score, best score so far, info."""
        rows = []
        for point in self.points:
            columns = {"score": point.score, "best": point.best, **point.info}
            kept = {name: values for name, values in columns.items() if values is not None}
            for sample in range(len(next(iter(kept.values()), ()))):
                row: dict[str, float] = {"step": point.step, "sample": sample}
                row |= {"calls": point.cost.calls, "seconds": point.cost.seconds}
                rows.append(row | {name: values[sample] for name, values in kept.items()})
        return rows

    def frame(self) -> pd.DataFrame:
        """`rows` as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.rows())


@dataclass(frozen=True)
class NoiseResult:
    """What a method found for the B samples of a batch.

    The noise plugs into the model's own diffusers pipeline as
    `pipe(latents=model.pipe_latents(result.noise), **model.call_inputs(prompts), **model.call_kwargs)`.
    Where there are `injected` noises, `model.sample(noise, model.encode(prompts), injected=injected)` takes both.

    Args:
        images: (B, 3, H, W) in [0, 1].
        noise: what they were sampled from, (B, C, h, w).
        initial: the noise that the search began with, (B, C, h, w).
        score: of the noise, (B,), or None.
        trace: the search as it went.
        cost: what an image took.
        prompts: of the samples, in order.
        seeds: of the samples.
        method: its string, all settings resolved.
        model: its name.
        stopped: why the search ended: "done", "budget", "asked" where an observer ended it, or "not finite" where no sample
            could go on.
        broken: by sample, the first figure that was not finite.
        injected: the noises (B, n, C, h, w) that the sampler injects after `noise`, where the method chose them.
    """

    images: Tensor
    noise: Tensor
    initial: Tensor
    score: Tensor | None
    trace: Trace
    cost: Cost
    prompts: Sequence[str]
    seeds: Sequence[int]
    method: str
    model: str
    stopped: str
    broken: Mapping[int, str] = field(default_factory=dict)
    injected: Tensor | None = None

    def _repr_html_(self) -> str:
        """What a notebook shows: the images, and how the search for each went."""
        from noisekit.card import card

        return card(self)

    def check_images(self) -> None:
        """Raise `BadValue` where an image holds values that are not finite: nothing can be drawn or scored of it."""
        for image, prompt, seed in zip(self.images, self.prompts, self.seeds, strict=True):
            if not image.isfinite().all():
                raise BadValue(
                    f"model {self.model!r} makes an image that is not finite of {prompt[:60]!r}, seed {seed}, by "
                    f"{self.method}; half precision may have overflowed: try dtype bf16 or fp32"
                )
