"""Mask2Former as a detector: objects of COCO's 80 classes with masks, read as the original implementation reads them.

    p = softmax(class logits) without "none"                           (queries, classes); the 100 best pairs
    mask = m > 0, m = the mask logits at the image's size               score = p · mean of σ(m) within the mask

The image goes in with its shorter side at 800 pixels, the longer at 1333 at most, padded to a multiple of 32; mask logits
are brought back bilinearly, first to that input, then to the image. transformers' own processing differs in each of these
steps and moves boxes by pixels, so only its network is used. Cheng, Misra, Schwing, Kirillov, Girdhar 2022, arXiv
2112.01527.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL.Image import Image
from torch import Tensor

from noisekit.errors import CorruptWeights
from noisekit.metrics.detectors.detection import Box, Detection
from noisekit.rewards.checkpoint import load_network
from noisekit.rewards.folders import folder_hash

#: Pixels of the sides of the input.
SHORT, LONG, MULTIPLE = 800, 1333, 32
#: What 8-bit values are normalised by.
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
#: Pairs of query and class that are kept, and the score below which no rule looks at them.
KEPT, LEAST = 100, 0.3

#: COCO's classes by index, three of them by the benchmark's names.
CLASSES = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light"),
    *("fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow"),
    *("elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase"),
    *("frisbee", "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard"),
    *("surfboard", "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl"),
    *("banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake"),
    *("chair", "couch", "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "computer mouse"),
    *("tv remote", "computer keyboard", "cell phone", "microwave", "oven", "toaster", "sink"),
    *("refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush"),
)


class Mask2Former:
    """A folder with a `Mask2FormerForUniversalSegmentation` for COCO's 80 classes.

    short: the shorter side of the input in pixels.
    """

    def __init__(self, folder: Path, device: str | torch.device = "cpu", short: int = SHORT) -> None:
        from transformers import Mask2FormerForUniversalSegmentation

        self.device, self.short = torch.device(device), short
        self.network = load_network(Mask2FormerForUniversalSegmentation, folder, self.device)
        if self.network.config.num_labels != len(CLASSES):
            raise CorruptWeights(
                f"{str(folder)!r} knows {self.network.config.num_labels} classes and not COCO's {len(CLASSES)}; give an "
                "instance segmentation checkpoint of COCO"
            )
        backbone = self.network.config.backbone_config
        self.name = f"Mask2Former {backbone.model_type} {getattr(backbone, 'embed_dim', '')}".strip()
        self.identity: dict[str, Any] = {
            "detector": "Mask2Former",
            "weights": folder_hash(folder),
            "input": [short, LONG],
            "version": 1,
        }

    @torch.no_grad()
    def __call__(
        self, pictures: Sequence[Image], labels: Sequence[Sequence[str]] = ()
    ) -> list[list[Detection]]:
        """What is found in each picture; the classes are the network's own."""
        return [self._found(picture) for picture in pictures]

    def _found(self, picture: Image) -> list[Detection]:
        pixels, inside = prepared(picture, self.short)
        output = self.network(pixel_values=pixels.to(self.device))
        size = picture.height, picture.width
        return detections(
            output.class_queries_logits[0], output.masks_queries_logits[0], pixels.shape[-2:], inside, size
        )


def prepared(picture: Image, short: int = SHORT) -> tuple[Tensor, tuple[int, int]]:
    """The input (1, 3, h, w) of a picture, and its height and width before it was padded."""
    image = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float()
    height, width = image.shape[-2:]
    scale = min(short / min(height, width), LONG / max(height, width))
    inside = int(height * scale + 0.5), int(width * scale + 0.5)
    image = F.interpolate(image, inside, mode="bilinear", align_corners=False).round()
    image = (image - image.new_tensor(MEAN).view(3, 1, 1)) / image.new_tensor(STD).view(3, 1, 1)
    return F.pad(image, (0, -inside[1] % MULTIPLE, 0, -inside[0] % MULTIPLE)), inside


def detections(
    classes: Tensor,
    masks: Tensor,
    padded: Sequence[int],
    inside: tuple[int, int],
    size: tuple[int, int],
    labels: Sequence[str] = CLASSES,
) -> list[Detection]:
    """The objects that class logits (Q, C + 1) and mask logits (Q, h, w) tell of, best first.

    padded, inside: height and width of the input with and without its padding; size: those of the picture.
    """
    chances = classes.float().softmax(-1)[:, :-1]
    values, pairs = chances.flatten().topk(min(KEPT, chances.numel()))
    found = []
    for chance, pair in zip(values.tolist(), pairs.tolist(), strict=True):
        if chance <= LEAST:  # the score is no higher
            break
        query, label = divmod(pair, chances.shape[1])
        logits = masks[query][None, None].float()
        logits = F.interpolate(logits, tuple(padded), mode="bilinear", align_corners=False)
        logits = logits[..., : inside[0], : inside[1]]
        logits = F.interpolate(logits, size, mode="bilinear", align_corners=False)[0, 0]
        mask = logits > 0
        if not mask.any():
            continue
        score = chance * logits[mask].sigmoid().mean().item()
        if score > LEAST:
            found.append(Detection(labels[label], score, _extent(mask), mask.cpu().numpy()))
    return sorted(found, key=lambda one: -one.score)


def _extent(mask: Tensor) -> Box:
    rows, columns = mask.any(1).nonzero().flatten().tolist(), mask.any(0).nonzero().flatten().tolist()
    return Box(columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
