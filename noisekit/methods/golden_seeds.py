"""Golden seeds: start from one of a few noises that made good images of other prompts.

    a_s = mean over calibration prompts c of metric(decode(sample(ε_s, c)), c)        ε_s = torch.manual_seed(s), on the CPU
    G   = the m seeds of the pool with the highest a_s
    ε(c, i) = ε_{G[(o(c) + i) mod m]}        i the sample's seed, o(c) a random offset keyed by the prompt

Xu, Zhang, Shi 2024, "Good Seed Makes a Good Crop", arXiv 2405.14828, who ranked 1,024 seeds of Stable Diffusion and call
the best ones golden. A seed names the noise that every script names so, whatever the prompt: a ranking also serves a
pipeline whose generator is given the seed. Consecutive sample seeds of one prompt take different golden seeds, all m of
them before one returns. `noisekit seeds rank` makes the ranking; an image then costs what a standard image costs.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from noisekit.errors import BadValue, CorruptWeights, NotSupported
from noisekit.files import read_json, write_json
from noisekit.methods.base import NoiseMethod
from noisekit.methods.parameters import parameter
from noisekit.models.base import Model
from noisekit.noise import NoiseSource, generator, published_noise
from noisekit.npnet.pairs import fingerprint
from noisekit.paths import BUNDLED, given_path
from noisekit.types import Candidate, Cost

FILE = "seeds.json"
FORMAT = "noisekit golden seeds 1"

#: Numbers of a noise: far beyond any model's, and few enough to be drawn.
LARGEST = 2**26


@dataclass(frozen=True)
class SeedRanking:
    """What `noisekit seeds rank` found: seeds from best to worst, with a_s, and where that was measured.

    model_id: fingerprint of the model's identity. prompts: name, hash and number of the calibration prompts. reliability:
    r, low and high, the split-half correlation of a_s with its interval. calls: denoiser evaluations of the ranking.
    """

    model: str
    model_id: str
    noise_shape: tuple[int, ...]
    metric: str
    metric_id: str
    prompts: Mapping[str, Any]
    seeds: tuple[int, ...]
    scores: tuple[float, ...]
    reliability: Mapping[str, float]
    calls: float

    @classmethod
    def read(cls, artefact: str | Path) -> Self:
        """From a folder, or from a bundled one by its name; raises `BadValue` or `CorruptWeights`."""
        places = (BUNDLED / artefact / FILE, given_path(artefact) / FILE)
        file = next((place for place in places if place.is_file()), None)
        if file is None:
            raise BadValue(
                f"artefact {str(artefact)!r} of golden_seeds is no folder with {FILE}; make one with `noisekit seeds rank`"
            )
        try:
            content = read_json(file)
            if content["format"] != FORMAT:
                raise ValueError(f"its format is {content['format']!r}, not {FORMAT!r}")
            ranking = cls(**{field.name: _tuple(content[field.name]) for field in fields(cls)})
            ranking._check()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CorruptWeights(f"{str(file)!r} does not read as a ranking of seeds ({error})") from None
        return ranking

    def _check(self) -> None:
        """Raise `ValueError` on what is not a ranking."""
        if not all(
            isinstance(name, str) for name in (self.model, self.model_id, self.metric, self.metric_id)
        ):
            raise ValueError("its model or metric is no name")
        shape = self.noise_shape
        if not (_whole(shape, 1) and len(shape) <= 8 and math.prod(shape) <= LARGEST):
            raise ValueError(f"its noise_shape is no shape of up to {LARGEST} numbers")
        if not _whole(self.seeds, 0) or len(set(self.seeds)) < len(self.seeds):
            raise ValueError("its seeds are not whole numbers from 0 to 2^64, each of them once")
        if not isinstance(self.scores, tuple) or not all(map(_number, (*self.scores, self.calls))):
            raise ValueError("its scores or calls are no numbers")
        if not isinstance(self.prompts, Mapping) or not isinstance(self.reliability, Mapping):
            raise ValueError("its prompts or reliability are no objects")

    def write(self, folder: Path) -> Path:
        """As one JSON file, which replaces an older one at once; raises `OSError`."""
        write_json(folder / FILE, {"format": FORMAT} | asdict(self))
        return folder / FILE

    @property
    def hash(self) -> str:
        """Sixteen digits of SHA-256 over what decides the noise: the order of the seeds, and its shape."""
        text = json.dumps([list(self.noise_shape), list(self.seeds)])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def noises(self, best: int) -> Tensor:
        """The noises (m, C, h, w) of the best m seeds, on the CPU."""
        return torch.cat([published_noise(seed, self.noise_shape) for seed in self.seeds[:best]])


@dataclass(frozen=True)
class GoldenSeeds(NoiseMethod):
    """One candidate: a golden noise. The metric of the ranking counts as optimised."""

    artefact: str | None = parameter(
        "folder of a ranking of seeds, or the name of a bundled one", names="artefact"
    )
    best: int = parameter("how many of the best seeds to draw from, m", default=8, at_least=1)

    name = "golden_seeds"

    @property
    def horizon(self) -> int:
        return 1

    @property
    def optimised(self) -> frozenset[str]:
        """The metric that ranked the seeds; none before it is known."""
        return frozenset([self.ranking.metric] if self.artefact else [])

    @property
    def preparation(self) -> float:
        return self.ranking.calls if self.artefact else 0.0

    def dependencies(self, _device: torch.device) -> dict[str, Any]:
        return {"golden_seeds": self.ranking.hash}

    def step_cost(self, model: Model) -> Cost:
        return Cost()

    def check(self, model: Model) -> None:
        """Raise where the ranking is of another noise shape, or of fewer seeds than `best`."""
        super().check(model)
        if self.ranking.noise_shape != tuple(model.noise_shape):
            raise NotSupported(
                f"artefact {self.artefact!r} of golden_seeds ranks noises of shape {self.ranking.noise_shape}, and model "
                f"{model.name!r} has {tuple(model.noise_shape)}; rank seeds for it with `noisekit seeds rank`"
            )
        if self.best > len(self.ranking.seeds):
            raise BadValue(
                f"best={self.best} of method 'golden_seeds' is more than the {len(self.ranking.seeds)} seeds that were "
                f"ranked in {self.artefact!r}; give fewer, or rank more seeds"
            )

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        if self.ranking.model_id != fingerprint(model.identity):
            warnings.warn(
                f"artefact {self.artefact!r} of golden_seeds was ranked on {self.ranking.model!r}, not on "
                f"{model.label!r} as it is now: seeds may be no better here",
                stacklevel=2,
            )
        golden = self.ranking.noises(self.best).to(model.device)
        yield Candidate(golden[[_place(source, i, self.best) for i in range(len(source))]])

    @cached_property
    def ranking(self) -> SeedRanking:
        """Raises `NotSupported` where no artefact was given and the model's card names none."""
        if self.artefact is None:
            raise NotSupported(
                "method 'golden_seeds' needs a ranking of seeds, and the model's card names none; make one with "
                "`noisekit seeds rank`, and give its folder as golden_seeds(artefact='FOLDER')"
            )
        return SeedRanking.read(self.artefact)


def _place(source: NoiseSource, sample: int, best: int) -> int:
    """(o + i) mod m of a sample; searches within a search have offsets of their own."""
    prompt = source.prompts[sample] if source.convention == "per_prompt" else ""
    offset = torch.randint(best, (), generator=generator("golden seeds", prompt, source.branch))
    return (int(offset) + source.seeds[sample]) % best


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _whole(values: Any, least: int) -> bool:
    return (
        isinstance(values, tuple)
        and len(values) > 0
        and all(type(n) is int and least <= n < 2**64 for n in values)
    )


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf
