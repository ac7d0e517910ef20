"""Metrics that take a reference: frames against the true views of the same thing (`prompts.views`).

    M(x, v) = 1/(F − 1)·Σ_f m(x_f, v_f)        f = 0…F − 2: the last frame is the input's own view

    ssim      the structural similarity of Wang et al. 2004: a Gaussian window of 11 pixels and σ = 1.5, K = (0.01, 0.03),
              wherever the whole window lies inside the picture
    psnr      10·log₁₀(1/mean (x − v)²), in decibels
    lpips     −LPIPS, Zhang et al. 2018, arXiv 1801.03924, version 0.1: minus, since higher is better here
    clip_s    cos(E(x_f), E(v_f)), E the image tower of a CLIP

SSIM, PSNR and LPIPS are torchmetrics'. They say nothing of single images, and of prompts without views. A white background
lifts all of them for every method alike: read differences.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from noisekit.errors import CorruptWeights, NotSupported
from noisekit.metrics.base import Metric
from noisekit.metrics.info import MetricInfo
from noisekit.metrics.weights import folders
from noisekit.paths import given_path
from noisekit.prompts import Prompt
from noisekit.prompts.views import has_views, truth
from noisekit.rewards import Precision, load_reward
from noisekit.rewards.clip_score import CLIPScore

#: Half of SSIM's window.
EDGE = 5


class AgainstViews(Metric):
    """A comparison of pictures, (n, 3, H, W) with (n, 3, H, W), as the mean over the frames that a model has made up."""

    reads_record = True
    reads_frames = True

    @classmethod
    def applies(cls, prompt: Prompt) -> bool:
        return has_views(prompt.metadata)

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"metric": self.info.name, "version": self.info.version}

    @abstractmethod
    def compare(self, made: Tensor, true: Tensor) -> Tensor:
        """m (n,) of pictures in [0, 1]."""

    def score(self, images: Tensor, prompts: Sequence[Prompt]) -> Tensor:
        if images.dim() == 4:
            return torch.full((len(images), 1), math.nan)
        rows = []
        for made, prompt in zip(images, prompts, strict=True):
            views = truth(prompt.metadata, len(made), (made.shape[-2], made.shape[-1]))
            true = torch.from_numpy(views).permute(0, 3, 1, 2).to(made).div(255)
            rows.append(self.compare(made[:-1], true).mean())
        return torch.stack(rows)[:, None].cpu()


class SSIM(AgainstViews):
    """Structural similarity."""

    info = MetricInfo(
        name="ssim",
        version="Gaussian window of 11 inside the picture, σ 1.5, mean over frames",
        weights="none",
        family="none",
        low=-1.0,
        high=1.0,
        tie=1e-4,
    )

    def compare(self, made: Tensor, true: Tensor) -> Tensor:
        from torchmetrics.functional.image import structural_similarity_index_measure

        measured = structural_similarity_index_measure(
            made, true, data_range=1.0, reduction="none", return_full_image=True
        )
        inside = measured[1][..., EDGE:-EDGE, EDGE:-EDGE]
        return inside.flatten(1).mean(1)


class PSNR(AgainstViews):
    """Peak signal-to-noise ratio; frames that are exact count as 100 decibels."""

    info = MetricInfo(
        name="psnr",
        version="decibels, at most 100, mean over frames",
        weights="none",
        family="none",
        low=0.0,
        high=100.0,
        tie=1e-2,
    )

    def compare(self, made: Tensor, true: Tensor) -> Tensor:
        from torchmetrics.functional.image import peak_signal_noise_ratio

        found = peak_signal_noise_ratio(made, true, data_range=1.0, dim=(1, 2, 3), reduction="none")
        return found.clamp(max=100.0)


class CLIPS(AgainstViews):
    """The likeness of what is seen: the cosine of a CLIP's image embeddings."""

    def __init__(self, tower: CLIPScore) -> None:
        self.tower = tower

    @classmethod
    def load(cls, weights: str, device: str | torch.device, dtype: Precision) -> Self:
        """With ViT-L/14 where weights are published: ViT-H/14 is the eye by which SVD and SV3D see their image."""
        name = "clip_score" if weights == "tiny" else "clip_score_l14"
        tower = load_reward(name, weights, device, dtype)
        assert isinstance(tower, CLIPScore)
        return cls(tower)

    @property
    def info(self) -> MetricInfo:
        return MetricInfo(
            name="clip_s",
            version="cos of image embeddings, mean over frames",
            weights=self.tower.weights,
            family=self.tower.family,
            low=-1.0,
            high=1.0,
            tie=2e-4,
        )

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"metric": "clip_s", "tower": self.tower.identity}

    def compare(self, made: Tensor, true: Tensor) -> Tensor:
        return (self.tower.embed(made) * self.tower.embed(true)).sum(1)


class LPIPS(AgainstViews):
    """Perceptual distance by AlexNet, negated."""

    #: The file by which torchvision publishes its AlexNet.
    FILE: ClassVar = "alexnet-owt-7be5be79.pth"

    def __init__(self, network: Any, weights: str) -> None:
        from noisekit.models.hashes import weights_hash

        self.network, self.weights = network, weights
        self._hash = weights_hash(network)

    @classmethod
    def load(cls, weights: str, device: str | torch.device, dtype: Precision) -> Self:
        """With AlexNet from torchvision's cache ("published"), a file, or a folder that holds it by its published name."""
        if weights == "tiny":
            raise NotSupported(
                "metric 'lpips' has no tiny weights; use weights='published', or a file of your own"
            )
        if weights == "published":
            file = folders("lpips", weights)["alexnet"] / cls.FILE
        else:
            path = given_path(weights)
            file = path / cls.FILE if path.is_dir() else path
        return cls(_lpips(file).to(device), weights if weights == "published" else file.name)

    @property
    def info(self) -> MetricInfo:
        return MetricInfo(
            name="lpips",
            version="minus LPIPS 0.1, mean over frames",
            weights=self.weights,
            family="AlexNet",
            low=-math.inf,
            high=0.0,
            tie=1e-4,
        )

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"metric": "lpips", "version": self.info.version, "weights": self._hash}

    def compare(self, made: Tensor, true: Tensor) -> Tensor:
        distances: Tensor = self.network(made, true, normalize=True)
        return -distances.flatten(1).mean(1)


def _lpips(file: Path) -> Any:
    """torchmetrics' LPIPS with its own linear heads and the convolutions of torchvision's AlexNet in a file."""
    from torchmetrics.functional.image.lpips import _NoTrainLpips

    from noisekit.pickles import read_pickle

    if not file.is_file():
        raise CorruptWeights(f"LPIPS needs AlexNet's weights, and there is no file {str(file)!r}")
    network = _NoTrainLpips(net="alex", pnet_rand=True).eval().requires_grad_(False)
    given = read_pickle(file)
    layers = {name.split(".", 1)[1]: name for name in network.net.state_dict()}  # slice2.3.weight by 3.weight
    found = {layers[key]: given[f"features.{key}"] for key in layers if f"features.{key}" in given}
    wanted = network.net.state_dict()
    if set(found) != set(wanted) or any(found[key].shape != wanted[key].shape for key in found):
        raise CorruptWeights(
            f"{str(file)!r} does not hold the layers of torchvision's AlexNet; get {LPIPS.FILE!r} again"
        )
    network.net.load_state_dict(found)
    return network
