"""NPNet: a network that was trained on pairs of noises proposes the golden noise. One forward pass, one candidate.

    ε ← NPNet(ε, c)        see `noisekit.npnet.network` for the network

Zhou et al. 2024, "Golden Noise for Diffusion Models", arXiv 2411.09502, stage III: sampling then runs unchanged from the new
noise. The artefact is what `noisekit npnet train` writes, or a .pth file that the authors published; its weights' hash is
part of the identity of every image, and so is the device of the decomposition where it is not the host. The metrics that
chose its training pairs count as optimised. `cross_model` runs a network on a model that it was not made for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from noisekit.cost import counted
from noisekit.errors import BadValue, NotSupported
from noisekit.methods.base import NoiseMethod
from noisekit.methods.parameters import parameter
from noisekit.models.base import Model
from noisekit.noise import NoiseSource
from noisekit.npnet.checkpoint import artefact_hash, find_artefact, load_network, read_card
from noisekit.npnet.cross_model import gather, spread, stride
from noisekit.npnet.network import NPNet
from noisekit.npnet.pairs import filters
from noisekit.npnet.published import WHERE
from noisekit.types import Candidate, Cost


@dataclass(frozen=True)
class GoldenNoise(NoiseMethod):
    """One candidate: the noise that the network makes of the initial one. It has no score."""

    artefact: str | None = parameter(
        "a trained network: folder, published .pth file, hub repository, bundled name", names="artefact"
    )
    svd_device: str = parameter("where singular vectors are found: their signs differ", default="cpu")
    cross_model: bool = parameter("for another kind of model: without its text branch", default=False)

    name = "npnet"

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            torch.device(self.svd_device or "cpu")
        except RuntimeError:
            raise BadValue(
                f"setting svd_device={self.svd_device!r} of method 'npnet' is no device; give 'cpu' or 'cuda'"
            ) from None

    @property
    def horizon(self) -> int:
        return 1

    @property
    def optimised(self) -> frozenset[str]:
        """The metrics by which the training pairs were filtered, as the artefact's card tells; none before it is known."""
        return frozenset(filters(read_card(self._folder).get("metric") if self.artefact else None))

    def dependencies(self, _device: torch.device) -> dict[str, Any]:
        return {"npnet": artefact_hash(self._folder)}

    def step_cost(self, model: Model) -> Cost:
        return Cost(predictor=1)

    def flops(self, network: str, model: Model) -> float:
        if network != "predictor":
            return super().flops(network, model)
        return self._network(model, model.specimen_conditioning().positive.shape[1:]).flops(network)

    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]:
        text = model.encode(prompts).positive
        network = self._network(model, text.shape[1:])
        k = stride(network.config, tuple(model.noise_shape)) if self.cross_model else 1
        noise = spread(source.initial, k, source.step)
        golden = [
            network(part, None if self.cross_model else words, self.svd_device)
            for part, words in zip(noise.split(model.card.batch), text.split(model.card.batch), strict=True)
        ]
        yield Candidate(counted("predictor", gather(torch.cat(golden), k), network))

    @property
    def _folder(self) -> Path:
        if self.artefact is None:
            raise NotSupported(
                "method 'npnet' needs a network trained for the model, and its card names none; train one with `noisekit "
                "npnet collect` and `noisekit npnet train`, and give its folder as npnet(artefact='FOLDER'), or give a "
                f"published file in its place: {WHERE}"
            )
        return find_artefact(self.artefact)

    def _network(self, model: Model, text_shape: Sequence[int]) -> NPNet:
        """The network on the model's device; raises `NotSupported` where it was made for another kind of model."""
        folder = self._folder
        network = _loaded(folder, artefact_hash(folder), model.device)
        config = network.config
        if self.cross_model:
            return network
        made_for = {"noise": config.noise_shape, "prompt embeddings": (config.tokens, config.width)}
        found = {"noise": tuple(model.noise_shape), "prompt embeddings": tuple(text_shape)}
        for what, shape in made_for.items():
            if found[what] != shape:
                raise NotSupported(
                    f"artefact {self.artefact!r} of npnet takes {what} of shape {shape}, and model {model.name!r} has "
                    f"{found[what]}; train one for this model with `noisekit npnet collect` and `noisekit npnet train`, "
                    "or run this one without its text branch by npnet(cross_model=True)"
                )
        return network


@lru_cache(maxsize=4)
def _loaded(folder: Path, _weights: str, device: torch.device) -> NPNet:
    return load_network(folder, device)
