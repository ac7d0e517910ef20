"""OWLv2 as a detector: objects of any name, each box going to the name that it fits best.

    score = σ(logit of the box and "a photo of a NAME")        a box counts where that exceeds `threshold`

It finds by name what UniDet finds of 677 classes, with scores on a scale of its own. Being asked for something it tends to
find it, so a threshold is to be held against pictures without the object. Minderer, Gritsenko, Houlsby 2023, arXiv
2306.09683.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image

from noisekit.metrics.detectors.detection import Box, Detection
from noisekit.rewards.checkpoint import load_network
from noisekit.rewards.folders import DAMAGE, damaged, folder_hash

QUERY = "a photo of a {}"
THRESHOLD = 0.1


class OWLv2:
    """A folder with an `Owlv2ForObjectDetection` and its processor."""

    def __init__(
        self, folder: Path, device: str | torch.device = "cpu", threshold: float = THRESHOLD
    ) -> None:
        from transformers import Owlv2ForObjectDetection, Owlv2Processor

        self.device, self.threshold = torch.device(device), threshold
        self.network = load_network(Owlv2ForObjectDetection, folder, self.device)
        try:
            self.processor = Owlv2Processor.from_pretrained(folder, local_files_only=True)
        except DAMAGE as error:
            raise damaged(folder / "preprocessor_config.json", error) from error
        vision = self.network.config.vision_config
        self.name = f"OWLv2 ViT-{vision.num_hidden_layers}x{vision.hidden_size}/{vision.patch_size} over {threshold:g}"
        self.identity: dict[str, Any] = {
            "detector": "OWLv2",
            "weights": folder_hash(folder),
            "query": QUERY,
            "threshold": threshold,
            "version": 1,
        }

    @torch.no_grad()
    def __call__(self, pictures: Sequence[Image], labels: Sequence[Sequence[str]]) -> list[list[Detection]]:
        """What is found in each picture of the objects that it is searched for."""
        return [self._found(picture, own) for picture, own in zip(pictures, labels, strict=True)]

    def _found(self, picture: Image, labels: Sequence[str]) -> list[Detection]:
        asked = list(dict.fromkeys(labels))
        inputs = self.processor(
            text=[[QUERY.format(label) for label in asked]], images=picture, return_tensors="pt"
        ).to(self.device)
        output = self.network(**inputs)
        (found,) = self.processor.image_processor.post_process_object_detection(
            output, self.threshold, [(picture.height, picture.width)]
        )
        rows = zip(found["labels"].tolist(), found["scores"].tolist(), found["boxes"].tolist(), strict=True)
        return [Detection(asked[label], score, Box(*box)) for label, score, box in rows]
