"""Where models come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from noisekit.models import Model

#: Settings of models that save memory and change no image.
LOW_MEMORY: Mapping[str, Any] = {"slicing": True, "checkpointing": True}


@dataclass(frozen=True)
class ModelSource:
    """What `load_model` takes: a name, a folder, a pipeline or a model, and the settings for it."""

    given: Any
    settings: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Model:
        """The model, loaded."""
        from noisekit.models import load_model

        return load_model(self.given, **self.settings)

    def saving(self) -> ModelSource:
        """The same with the settings that save memory and change no image, where nothing was said of them."""
        return replace(self, settings={**LOW_MEMORY, **self.settings})

    def outline(self) -> Model:
        """What its card says of it, before it is loaded."""
        from noisekit.models.outline import outline

        return outline(self.given, self.settings)
