"""A reward scores how well an image shows its prompt, or how good it looks: R(x, c), higher is better.

One network, two ways to look at an image. `reward(images, prompts)` keeps the gradient to the image and is what methods
climb; `reward.judge(images, prompts)` reads the image as the 8-bit file that a person gets and is what evaluators report.
The reward of a sequence of frames is the mean over its frames.
Both run in fp32 unless told otherwise. In half precision the networks do, and what follows them, the final product and the
score's scale, stays in fp32: it would round scores to steps that look like ties. What a score then differs from fp32's by,
on the weights that ship with noisekit: under a 200th of the scores' spread over images in float16, under a 20th in bfloat16;
gradients point the same way, at a cosine of .999 and .99 at least (tests hold them to it).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar, final, get_args

import torch
from torch import Tensor

from noisekit.cost import counted, uncounted
from noisekit.errors import BadValue
from noisekit.flops import SPECIMEN, Worker
from noisekit.paths import given_path
from noisekit.rewards.folders import folder_hash
from noisekit.rewards.half import steady
from noisekit.rewards.preprocess import AsItIs, Preparation, Preprocess
from noisekit.rewards.text import PromptCache
from noisekit.threads import fitting

Weights = Literal["tiny", "published"]
#: What the networks compute in.
Precision = Literal["float32", "float16", "bfloat16"]

Asked = TypeVar("Asked")

#: The side of the image on which a reward's operations are counted; what reads pixels as they are computes more on more.
SIDE = 64
#: How far outside [0, 1] a pixel may lie before it is taken for another range, such as [-1, 1].
SLACK = 1e-3


class Reward(Worker):
    """Base of every reward. Higher is better for all of them."""

    #: The reward's name in the registry, and the column of tables.
    name: str
    #: Which definition of the score this is, in words that stand beside the number.
    version: str
    #: Whether the score depends on the prompt.
    reads_prompt: ClassVar[bool]
    #: Whether the published number is a preference between two images, which tables report over the standard image:
    #: sigmoid(s − s_standard).
    pairwise: ClassVar[bool] = False
    #: Whether the score is a formula of the pixels as they are, and has no checkpoint.
    formula: ClassVar[bool] = False
    #: What the reward makes of prompts, where it reads them.
    text: PromptCache | None = None

    def __init__(
        self,
        folder: Path | None,
        weights: str,
        device: str | torch.device,
        *,
        name: str | None = None,
        edition: str = "",
        dtype: Precision = "float32",
    ) -> None:
        """name: in the registry, where a class has several. edition: which weights these are, put before the version."""
        if dtype not in get_args(Precision):
            raise BadValue(f"dtype={dtype!r} of a reward is none of {', '.join(get_args(Precision))}")
        self.folder, self.weights, self.device = folder, weights, torch.device(device)
        self.name, self.precision, self.dtype = name or type(self).name, dtype, getattr(torch, dtype)
        self.version = f"{edition}, {self.version}" if edition else self.version
        self.preprocess = AsItIs() if folder is None else self.preparation(folder)

    @classmethod
    @final
    def from_folder(
        cls,
        folder: str | Path,
        *,
        weights: str | None = None,
        device: str | torch.device = "cpu",
        **settings: Any,
    ) -> Self:
        """Load from a checkpoint folder; `weights` is the name to show, by default the folder's."""
        path = given_path(folder)
        return cls(path, weights or path.resolve().name, device, **settings)

    def preparation(self, folder: Path) -> Preparation:
        """How an image is made ready, as the checkpoint says."""
        return Preprocess.from_folder(folder)

    @property
    @abstractmethod
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest score that these weights can give; infinite where nothing bounds it."""

    @property
    @abstractmethod
    def family(self) -> str:
        """The image tower. Rewards of one family are no independent witnesses of each other."""

    @abstractmethod
    def score(self, pixels: Tensor, prompts: Sequence[str]) -> Tensor:
        """Scores (B,), in fp32, of preprocessed pixels (B, 3, S, S) of the networks' precision; differentiable."""

    @property
    def tie(self) -> float:
        """Two scores closer than this are a tie: a ten-thousandth of the range, far above rounding."""
        low, high = self.bounds
        return 1e-4 * (high - low)

    @property
    @final
    def identity(self) -> dict[str, Any]:
        """Everything that decides the score besides image and prompt."""
        weights = {} if self.folder is None else {"weights": folder_hash(self.folder)}
        precision = {} if self.precision == "float32" else {"dtype": self.precision}
        return {"reward": self.name, "version": self.version, **weights, **precision}

    @cached_property
    def parameters(self) -> int:
        """About how many numbers the networks hold, from the bytes of their files: what a thread's worth is judged by."""
        files = [] if self.folder is None else self.folder.glob("*.safetensors")
        return sum(file.stat().st_size for file in files) // 4

    @final
    def cut(self, prompts: Sequence[str]) -> list[int]:
        """How many tokens of each prompt the reward cannot read, 0 where it reads all or none."""
        return [0] * len(prompts) if self.text is None else self.text.cut(prompts)

    @final
    def lineage(self, architecture: str) -> str:
        """The family of a tower of this architecture.

        Published towers of one architecture were tuned from one public checkpoint, and wherever an origin is not known the
        same is assumed: the architecture is the family. The towers that ship with noisekit began from noise, each on its
        own, so each is a family of its own.
        """
        if self.weights != "tiny" or self.folder is None:
            return architecture
        return f"{architecture} of {self.folder.name}"

    @final
    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """Scores (B,) of images (B, 3, H, W) in [0, 1], with the gradient to the images. NaN pixels score NaN."""
        checked_images(images, prompts)
        frames, words = single_frames(images, prompts)
        pixels = self.preprocess.tensor_pixels(frames.to(self.device, torch.float32))
        return self._counted_score(pixels, words, len(images))

    @final
    @torch.no_grad()
    def judge(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """Scores (B,) of the same images stored with 8 bits a channel and resized by Pillow, without gradient."""
        checked_images(images, prompts)
        frames, words = single_frames(images, prompts)
        pixels = self.preprocess.judged_pixels(frames.to(self.device, torch.float32))
        return self._counted_score(pixels, words, len(images))

    def _counted_score(self, pixels: Tensor, prompts: Sequence[str], samples: int) -> Tensor:
        with fitting(self.parameters), torch.autocast(self.device.type, enabled=False):
            if self.dtype == torch.float16:
                scores = steady(lambda half: self.score(half, prompts), pixels)
            else:
                scores = self.score(pixels.to(self.dtype), prompts)
            scores = counted("reward", scores, self)
            return scores if len(scores) == samples else scores.view(samples, -1).mean(1)

    @final
    def specimen(self, network: str) -> tuple[Callable[[Tensor], Tensor], Tensor] | None:
        """The score of one image whose prompt is known already, as a search knows it."""
        if network != "reward":
            return None
        x = torch.full((1, 3, SIDE, SIDE), 0.5, device=self.device)
        with uncounted(), torch.no_grad():
            self(x, [SPECIMEN])
        return lambda images: self(images, [SPECIMEN]), x

    def __repr__(self) -> str:
        return f"{type(self).__name__}(weights={self.weights!r}, version={self.version!r})"


def single_frames(images: Tensor, prompts: Sequence[Asked]) -> tuple[Tensor, list[Asked]]:
    """Images (B, 3, H, W) and their prompts as they are; frames (B, F, 3, H, W) as B·F images, each with its prompt."""
    if images.dim() == 4:
        return images, list(prompts)
    return images.flatten(0, 1), [prompt for prompt in prompts for _ in range(images.shape[1])]


def checked_images(images: Tensor, prompts: Sequence[str]) -> None:
    """Raise `BadValue` unless images are (B, 3, H, W) or (B, F, 3, H, W) floats in [0, 1] with one prompt a sample."""
    if isinstance(prompts, str):
        raise BadValue(f"prompts={prompts!r} is a single text; give a list with one prompt an image")
    if images.dim() not in (4, 5) or images.shape[-3] != 3 or not images.is_floating_point():
        raise BadValue(
            f"images of shape {tuple(images.shape)} and type {images.dtype} are not (B, 3, H, W) floats; convert them"
        )
    if len(images) != len(prompts):
        raise BadValue(f"{len(images)} images came with {len(prompts)} prompts; give one prompt an image")
    if ((images < -SLACK) | (images > 1 + SLACK)).any():
        low, high = images.min().item(), images.max().item()
        raise BadValue(f"image values from {low:.3g} to {high:.3g} are not in [0, 1]; rescale them first")
