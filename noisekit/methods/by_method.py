"""Pairs of noises by a method: what a network learns that shall do in one call what a search does in many.

    x_T = ε        x′_T = the noise that the method finds from ε

A network that minimises the squared error learns E[x′_T | x_T, c]. That is much of a method that moves the noise (ReNO,
cosine, re-denoising, zero-order search), and nothing of one that chooses among independent draws: what it finds does not
depend on x_T, so the mean is near 0, which is no noise.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, ClassVar

import torch
from torch import Tensor

from noisekit.errors import NotSupported
from noisekit.methods.base import NoiseMethod
from noisekit.methods.best import better
from noisekit.models.base import Marker, Model
from noisekit.noise import NoiseSource
from noisekit.npnet.pairs import Collection, fingerprint
from noisekit.types import Candidate

#: Mean cosine of x_T and x′_T below which a squared error learns little of a method.
LEARNABLE = 0.5


@dataclass(frozen=True)
class ByMethod:
    """A `Pairing` of `noisekit.npnet.collect`: the best noise that a method finds by its own objective."""

    method: NoiseMethod

    needs: ClassVar[tuple[Marker, ...]] = ()

    def about(self, model: Model) -> dict[str, Any]:
        """The method with its settings, and a hash of what it depends on; raises `NotSupported` where none can be learnt."""
        method = self.method.resolved(model)
        method.check(model)
        if method.injects:
            raise NotSupported(
                f"method {str(method)!r} chooses what the sampler injects on the way, and pairs hold initial noises alone; "
                "take a method that moves the initial noise, such as reno"
            )
        known = {str(part): [part.version, part.dependencies(model.device)] for part in method.parts}
        return {"method": str(method), "method_id": fingerprint(known)}

    @torch.no_grad()
    def better(self, model: Model, source: NoiseSource) -> Tensor:
        """As many samples at once as the model's card says, since gradients keep all of a batch in memory."""
        method, size = self.method.resolved(model), model.card.batch
        found = []
        for start in range(0, len(source), size):
            part = slice(start, start + size)
            own = replace(source, prompts=source.prompts[part], seeds=source.seeds[part])
            candidates = method.search(model, own.prompts, own)
            found.append(reduce(better, candidates, Candidate(own.initial)).noise)
        return torch.cat(found)


def warn_unless_learnable(collection: Collection) -> float:
    """The mean cosine of x_T and x′_T over a first shard; warns where a squared error learns little of such pairs."""
    cosine = collection.mean_cosine()
    if cosine < LEARNABLE:
        warnings.warn(
            f"the pairs in {str(collection.folder)!r} have a mean cosine of {cosine:.2f}: their noises were chosen rather "
            "than moved, and a network that minimises the squared error learns little more than their mean; take a method "
            "that moves the noise, such as reno",
            stacklevel=2,
        )
    return cosine
