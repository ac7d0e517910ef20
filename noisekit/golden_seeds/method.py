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

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from noisekit.errors import BadValue, NotSupported
from noisekit.golden_seeds.ranking import SeedRanking
from noisekit.methods.base import NoiseMethod
from noisekit.methods.parameters import parameter
from noisekit.models.base import Model
from noisekit.noise import NoiseSource, generator
from noisekit.npnet.pairs import fingerprint
from noisekit.types import Candidate, Cost


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
