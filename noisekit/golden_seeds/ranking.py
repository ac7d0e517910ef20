"""The artefact of golden seeds: seeds from best to worst, as one JSON file."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from noisekit.errors import BadValue, CorruptWeights
from noisekit.files import read_json, write_json
from noisekit.noise import published_noise
from noisekit.paths import BUNDLED, given_path

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
