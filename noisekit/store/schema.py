"""What the lines of a store hold, field by field; every reader takes the same lines, and refuses the same.

A line is strict JSON in UTF-8: no NaN, no infinity, no byte order mark, no half of a surrogate pair. A field that is missing
or of another type damages it; what has a default here may be null or missing, as a figure that nobody measured. Further
fields may stand in a line and are passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from noisekit.evaluation.rings import sizes
from noisekit.types import LARGEST_SEED

Kind = Literal[
    "rows",
    "noises",
    "scores",
    "metrics",
    "diversity",
    "traces",
    "failures",
    "settings",
    "calibrations",
    "ballots",
    "votes",
]

Seed = Annotated[int, Meta(ge=0, le=LARGEST_SEED)]
#: A side of a latent; larger ones are no noise of any model.
Side = Annotated[int, Meta(ge=1, le=4096)]
#: The most that an image may cost by one measure; null where nothing limits it.
Limit = Annotated[float, Meta(gt=0)] | None
#: Mappings of settings within mappings are this deep at most.
DEEPEST = 32


class Line(Struct, frozen=True, kw_only=True, gc=False):
    """created: seconds since 1970 at which the line was written."""

    created: float


class ArmLine(Line, frozen=True, kw_only=True, gc=False):
    """What is about a method on a model: the model as it prints, its name without settings (null where it has none), the
    resolved method as it prints, and the budget of an image."""

    model: str
    method: str
    model_name: str | None = None
    budget_seconds: Limit = None
    budget_calls: Limit = None
    budget_candidates: Annotated[int, Meta(ge=1)] | None = None
    budget_equivalents: Limit = None


class ImageLine(ArmLine, frozen=True, kw_only=True, gc=False):
    """An image that was generated, and what it took."""

    id: str
    setting: str
    model_id: str
    prompt: str
    seed: Seed
    prompt_id: str
    image: str
    suite: str | None = None
    kind: str | None = None
    unseen: bool | None = None
    categories: dict[str, str] | None = None
    metadata: dict[str, Any] | None = None
    objective: str = "none"
    optimised: tuple[str, ...] = ()
    score: float | None = None
    calls: float | None = None
    calls_denoiser: float | None = None
    calls_denoiser_backward: float | None = None
    calls_decoder: float | None = None
    calls_decoder_backward: float | None = None
    calls_reward: float | None = None
    calls_reward_backward: float | None = None
    calls_predictor: float | None = None
    flops: float | None = None
    equivalents: float | None = None
    seconds: float | None = None
    peak_memory: float | None = None
    preparation: float | None = None
    batch: int | None = None
    stopped: str | None = None
    noise_norm: float | None = None
    noise_cosine: float | None = None
    noise_distance: float | None = None
    noise_kurtosis: float | None = None


class NoiseLine(Line, frozen=True, kw_only=True, gc=False):
    """Figures of the noise (C, h, w) of an image, as `evaluation.noise_statistics` defines them; frames are channels."""

    id: str
    shape: tuple[Side, Side, Side]
    found: tuple[float, ...]
    initial: tuple[float, ...]
    cross: tuple[float, ...]
    similarity: tuple[float, ...]

    def __post_init__(self) -> None:
        rings, vectors = sizes(*self.shape)
        if not len(self.found) == len(self.initial) == len(self.cross) == rings:
            raise ValueError(f"its sums are not over the {rings} rings of such a noise")
        if len(self.similarity) != vectors:
            raise ValueError(f"its similarities are not of the {vectors} singular vectors of such a noise")


class ScoreLine(Line, frozen=True, kw_only=True, gc=False):
    """What a metric says of an image: figures by the columns of the frame, and tokens of the prompt that it left out."""

    id: str
    score_id: str
    metric: str
    metric_id: str
    values: dict[str, float | None]
    cut: int | None = None


class MetricLine(Line, frozen=True, kw_only=True, gc=False):
    """A metric and its weights, as `metrics.info.MetricInfo` defines the fields."""

    metric_id: str
    name: str
    version: str
    weights: str
    family: str
    low: float | None
    high: float | None
    direction: str
    tie: float
    pairwise: bool
    parts: tuple[str, ...] = ()
    ground_truth: bool = False


class DiversityLine(Line, frozen=True, kw_only=True, gc=False):
    """How far the images of a prompt are apart: one distance a pair of seeds."""

    setting: str
    prompt_id: str
    seeds: tuple[Seed, ...]
    embedding_id: str
    distances: tuple[float, ...]

    def __post_init__(self) -> None:
        pairs = len(self.seeds) * (len(self.seeds) - 1) // 2
        if len(self.distances) != pairs:
            raise ValueError(f"it has {len(self.distances)} distances of {pairs} pairs of seeds")


class TraceLine(Line, frozen=True, kw_only=True, gc=False):
    """A search as it went: step, calls, seconds and further figures at each candidate."""

    id: str
    points: Annotated[tuple[dict[str, int | float | None], ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        for point in self.points:
            for name in ("step", "calls", "seconds"):
                if point.get(name) is None:
                    raise ValueError(f"a point of it has no {name}")


class FailureLine(ArmLine, frozen=True, kw_only=True, gc=False):
    """An image that could not be made, or not be scored by a metric, and why."""

    id: str
    metric: str | None
    setting: str
    reason: str
    attempt: int
    prompt: str
    seed: Seed
    suite: str | None = None
    where: str = ""


class SettingLine(ArmLine, frozen=True, kw_only=True, gc=False):
    """A setting, and all resolved values that it is the hash of."""

    setting: str
    fields: dict[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.fields.get("method"), str):
            raise ValueError("its fields name no method")
        if not isinstance(self.fields.get("model"), dict):
            raise ValueError("its fields describe no model")
        check_depth(self.fields)


class CalibrationLine(Line, frozen=True, kw_only=True, gc=False):
    """Seconds of one evaluation of each network of a model on some machine."""

    model: str
    mode: Literal["latency", "throughput"]
    batch: Annotated[int, Meta(ge=1)]
    hardware: dict[str, Any]
    seconds: dict[str, float]

    def __post_init__(self) -> None:
        if not {"encode", "denoiser"} <= self.seconds.keys():
            raise ValueError("it has no seconds of encode and denoiser")


#: Why two images were shown: for the vote; again, to see whether it is the same; with sides swapped; one of them noise.
Purpose = Literal["pair", "repeat", "swapped", "attention"]
Answer = Literal["left", "right", "tie", "both_bad"]
#: Who votes: a code, no name.
Voter = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,32}$")]


class BallotLine(Line, frozen=True, kw_only=True, gc=False):
    """Two images that were shown to a voter: paths of left and right, "noise" for none; of: the ballot that it repeats."""

    ballot: str
    voter: Voter
    left: str
    right: str
    questions: tuple[str, ...]
    purpose: Purpose = "pair"
    of: str | None = None


class VoteLine(Line, frozen=True, kw_only=True, gc=False):
    """What a voter said to a question about the two images of a ballot, and after how many seconds."""

    ballot: str
    voter: Voter
    question: str
    answer: Answer
    left: str
    right: str
    purpose: Purpose = "pair"
    of: str | None = None
    seconds: Annotated[float, Meta(ge=0)] | None = None


LINES: Mapping[Kind, type[Line]] = {
    "rows": ImageLine,
    "noises": NoiseLine,
    "scores": ScoreLine,
    "metrics": MetricLine,
    "diversity": DiversityLine,
    "traces": TraceLine,
    "failures": FailureLine,
    "settings": SettingLine,
    "calibrations": CalibrationLine,
    "ballots": BallotLine,
    "votes": VoteLine,
}


def check_depth(value: Any, deepest: int = DEEPEST) -> None:
    """Raise `ValueError` where mappings and lists lie too deep in each other to be shown."""
    if isinstance(value, dict | list):
        if not deepest:
            raise ValueError(f"its values lie more than {DEEPEST} deep in each other")
        for inner in value.values() if isinstance(value, dict) else value:
            check_depth(inner, deepest - 1)
