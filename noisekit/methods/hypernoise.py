"""Noise hypernetworks: a network that learnt what raises rewards adds it to the noise. One forward pass, one candidate.

    ε ← ε + Δ        Δ = f(ε, c)        see `noisekit.hypernoise` for the network and how it is trained

Eyring et al. 2025, "Noise Hypernetworks: Amortizing Test-Time Compute in Diffusion Models", arXiv 2508.09968: f is trained
through a one-step model, and its noises serve the same model at more steps too. The artefact is what `noisekit learn
rewards` writes, or the adapter that the authors published for SANA-Sprint 0.6B; its weights' hash is part of the identity
of every image. The rewards that trained it count as optimised. f is as large as the denoiser: its one call is counted as
the predictor's, and costs what a call of the denoiser without guidance does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch

from noisekit.cost import counted
from noisekit.errors import NotSupported
from noisekit.hypernoise.artefact import artefact_hash, find_artefact, load_predictor, read_card
from noisekit.hypernoise.predictor import Predictor, denoiser_model
from noisekit.methods.base import NoiseMethod
from noisekit.methods.parameters import parameter
from noisekit.models.base import Model
from noisekit.models.outline import Outline
from noisekit.noise import NoiseSource
from noisekit.threads import fitting
from noisekit.types import Candidate, Cost


@dataclass(frozen=True)
class HyperNoise(NoiseMethod):
    """One candidate: the initial noise and what a trained network adds to it. It has no score."""

    artefact: str | None = parameter(
        "a trained network: folder, hub repository, or bundled name", names="artefact"
    )

    name = "hypernoise"

    @property
    def horizon(self) -> int:
        return 1

    @property
    def optimised(self) -> frozenset[str]:
        """The rewards that trained the network, as the artefact's card tells; none before it is known."""
        return frozenset(read_card(self.artefact).get("optimised", ()) if self.artefact else ())

    def check(self, model: Model) -> None:
        super().check(model)
        if not isinstance(model, Outline):
            denoiser_model(model)

    def dependencies(self, _device: torch.device) -> dict[str, Any]:
        return {"hypernoise": artefact_hash(self._folder)}

    def step_cost(self, model: Model) -> Cost:
        return Cost(predictor=1)

    def flops(self, network: str, model: Model) -> float:
        if network != "predictor":
            return super().flops(network, model)
        return _loaded(self._folder, model).flops(network)

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        predictor, size = _loaded(self._folder, model), model.card.batch
        parts = zip(source.initial.split(size), model.encode(prompts).split(size), strict=True)
        with fitting(model.parameters):
            delta = torch.cat(
                [counted("predictor", predictor(noise, words), predictor) for noise, words in parts]
            )
        noise = source.initial + delta
        cosine = torch.cosine_similarity(noise.flatten(1), source.initial.flatten(1))
        yield Candidate(noise, info={"cosine": cosine, "norm": noise.flatten(1).norm(dim=1)})

    @property
    def _folder(self) -> Path:
        if self.artefact is None:
            raise NotSupported(
                "method 'hypernoise' needs a network trained for the model, and its card names none; train one with "
                "`noisekit learn rewards`, and give its folder as hypernoise(artefact='FOLDER')"
            )
        return find_artefact(self.artefact)


#: The last network of each model, for as long as the model lives.
_KEPT: WeakKeyDictionary[Model, tuple[str, Predictor]] = WeakKeyDictionary()


def _loaded(folder: Path, model: Model) -> Predictor:
    known, kept = f"{artefact_hash(folder)} {model.device}", _KEPT.get(model)
    if kept is None or kept[0] != known:
        kept = _KEPT[model] = (known, load_predictor(folder, model))
    return kept[1]
