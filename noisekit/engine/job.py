"""A job: one method on one model under a budget, with everything resolved that decides its images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from noisekit.hashing import digest
from noisekit.methods import NoiseMethod
from noisekit.models import Model
from noisekit.plan.sources import ModelSource
from noisekit.store.identity import generation_id, setting_fields
from noisekit.types import Arm, Budget, Convention


@dataclass(frozen=True)
class Job:
    """A method, resolved for a model, and the budget of each image. It holds no network, so it travels to any worker.

    fields: what `setting` is the hash of. labels: the names of model and method in tables. batch: images that the model's
    card puts through at once. calls: denoiser evaluations that one image is expected to take.
    """

    source: ModelSource
    method: NoiseMethod
    budget: Budget
    convention: Convention
    fields: Mapping[str, Any]
    setting: str
    labels: Mapping[str, str]
    batch: int
    calls: float

    @classmethod
    def of(
        cls, source: ModelSource, model: Model, method: NoiseMethod, budget: Budget, convention: Convention
    ) -> Job:
        """Resolve a method for the model of a source, and check that the two go together, weights included."""
        resolved = method.resolved(model)
        resolved.check(model)
        # Standard sampling spends the least that an image can cost: no budget changes it.
        own = budget if resolved.horizon else Budget()
        fields = setting_fields(model, resolved, own, convention)
        labels = labels_of(model, resolved, own)
        calls = resolved.cost(model).calls
        return cls(
            source=source,
            method=resolved,
            budget=own,
            convention=convention,
            fields=fields,
            setting=digest(fields),
            labels=labels,
            batch=model.card.batch,
            calls=calls if own.calls is None else min(calls, own.calls),
        )

    @property
    def identity(self) -> Mapping[str, Any]:
        """The model's identity."""
        identity: Mapping[str, Any] = self.fields["model"]
        return identity

    @property
    def arm(self) -> Arm:
        """The method and its budget."""
        return Arm(str(self.method), self.budget)

    @property
    def columns(self) -> dict[str, Any]:
        """The model and the arm as the lines of a store have them."""
        return {"model": self.labels["model"], **self.arm.columns}

    def image_id(self, prompt: str, seed: int) -> str:
        """The id of one image. The pixels of a control image count where the model follows them."""
        follows = "control_scale" in self.identity
        return generation_id(self.setting, prompt if follows else str(prompt), seed)


def labels_of(model: Model, method: NoiseMethod, budget: Budget) -> dict[str, str]:
    """The names of a model and a resolved method in tables."""
    return {"model": model.label, "method": str(Arm(str(method), budget))}
