"""HPSv3: people's preference of an image for its prompt, by a vision-language model with a head.

    h = Qwen2-VL(x, rubric with c in it, "<|Reward|>") at the last token        (μ, log σ) = W₃ relu(W₂ relu(W₁ h))
    hpsv3 = μ                                                                                              −∞ … ∞

The model was trained and is published with positions that count the image's tokens as words, so they are given as such and
not left to transformers, which would lay them out in a plane. A picture is resized to about 448² by Qwen's own rounding,
which makes 420² of 576², 768², 1152² and 1536²: its size alone moves the score. Ma et al. 2025, "HPSv3", arXiv 2508.03789.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import math
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import torch
from PIL import Image
from torch import Tensor, nn

from noisekit.errors import CorruptWeights
from noisekit.files import write_json
from noisekit.metrics.base import Metric
from noisekit.metrics.info import MetricInfo
from noisekit.metrics.weights import folders, shown
from noisekit.prompts import Prompt
from noisekit.rewards import Precision
from noisekit.rewards.checkpoint import check_tensors, finished, read_network, read_tensors
from noisekit.rewards.folders import CONFIG, DAMAGE, WEIGHTS, damaged, folder_hash, read_config, require
from noisekit.rewards.preprocess import to_pillow

FILE = "HPSv3.safetensors"
HEAD = "rm_head."
TOKEN = "<|Reward|>"
#: Pixels of a picture, at least and at most, and what its sides are multiples of.
PIXELS, MULTIPLE = 448 * 448, 28
#: How the SHA-256 of the published words begins.
PUBLISHED = "f6ee57479d4e9eee"
#: Pictures at once.
BATCH = 4


class Words(NamedTuple):
    """What the model reads around a prompt: the rubric, with {text_prompt} in it, and the line that ends it."""

    rubric: str
    end: str

    @property
    def digest(self) -> str:
        return hashlib.sha256((self.rubric + self.end).encode()).hexdigest()[:16]

    def around(self, prompt: str) -> str:
        return self.rubric.format(text_prompt=prompt) + self.end


class HPSv3(Metric):
    """Its weights are those of the "scorer", a folder with HPSv3.safetensors, and of a "skeleton": Qwen2-VL's settings.

    The rubric is its makers' and does not come with noisekit: it is read from their package `hpsv3`, which need not be
    imported, or from a file words.py in the scorer's folder with the same two names.
    """

    name: ClassVar = "hpsv3"

    def __init__(
        self, scorer: Path, skeleton: Path, weights: str, device: str | torch.device, dtype: Precision
    ) -> None:
        from transformers import AutoProcessor

        self.device, self.dtype, self._weights = torch.device(device), dtype, weights
        self.words = published_words(scorer)
        try:
            self.processor = AutoProcessor.from_pretrained(skeleton, local_files_only=True)
            self.processor.tokenizer.add_special_tokens({"additional_special_tokens": [TOKEN]})
            self.processor.tokenizer.padding_side = "right"
        except DAMAGE as error:
            raise damaged(skeleton / "tokenizer_config.json", error) from error
        self.network, self.head = _networks(scorer / FILE, skeleton, self.device, getattr(torch, dtype))
        self.token = self.processor.tokenizer.convert_tokens_to_ids(TOKEN)
        text = self.network.config.get_text_config()
        self._family = f"{self.network.config.model_type} {text.num_hidden_layers}x{text.hidden_size}"
        self._identity = {"scorer": folder_hash(scorer), "skeleton": folder_hash(skeleton), "dtype": dtype}

    @classmethod
    def load(cls, weights: str, device: str | torch.device, dtype: Precision) -> Self:
        found = folders(cls.name, weights)
        return cls(found["scorer"], found["skeleton"], shown(weights), device, dtype)

    @property
    def info(self) -> MetricInfo:
        others = [] if self.words.digest.startswith(PUBLISHED) else ["another rubric than the published"]
        others += [] if self.dtype == "float32" else [self.dtype]
        return MetricInfo(
            name=self.name,
            version=", ".join(["mean, pictures at about 448²", *others]),
            weights=self._weights,
            family=self._family,
            low=-math.inf,
            high=math.inf,
            tie=1e-3,
        )

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"metric": self.name, "version": 1, "words": self.words.digest, **self._identity}

    def score(self, images: Tensor, prompts: Sequence[Prompt]) -> Tensor:
        pictures = [resized(picture) for picture in to_pillow(images)]
        values = []
        for start in range(0, len(prompts), BATCH):
            texts = [prompt.text for prompt in prompts[start : start + BATCH]]
            values.append(self._scores(pictures[start : start + BATCH], texts))
        return torch.cat(values)[:, None]

    def _scores(self, pictures: Sequence[Image.Image], prompts: Sequence[str]) -> Tensor:
        turns = [
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "image": picture},
                        {"type": "text", "text": self.words.around(prompt)},
                    ],
                }
            ]
            for picture, prompt in zip(pictures, prompts, strict=True)
        ]
        inputs = self.processor.apply_chat_template(
            turns,
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True, "do_resize": False},
        ).to(self.device)
        ids = inputs["input_ids"]
        positions = torch.arange(ids.shape[1], device=self.device).expand(3, len(ids), -1)
        states = self.network(
            input_ids=ids,
            attention_mask=inputs["attention_mask"],
            pixel_values=inputs["pixel_values"].to(self.network.dtype),
            image_grid_thw=inputs["image_grid_thw"],
            position_ids=positions,
            use_cache=False,
        ).last_hidden_state
        last = ids.shape[1] - 1 - (ids == self.token).flip(1).int().argmax(1)
        figures: Tensor = self.head(states[torch.arange(len(ids)), last].float())
        return figures[:, 0].cpu()


def resized(picture: Image.Image) -> Image.Image:
    """A picture at Qwen's rounding of `PIXELS`."""
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

    height, width = smart_resize(
        picture.height, picture.width, factor=MULTIPLE, min_pixels=PIXELS, max_pixels=PIXELS
    )
    return picture.resize((width, height), Image.Resampling.BICUBIC)


def published_words(scorer: Path) -> Words:
    """The rubric, out of words.py in the scorer's folder or out of the installed package, neither of which is run."""
    spec = importlib.util.find_spec("hpsv3")
    places = [scorer / "words.py"]
    if spec is not None and spec.submodule_search_locations:
        places += [
            Path(home) / "dataset" / "data_collator_qwen.py" for home in spec.submodule_search_locations
        ]
    for place in places:
        if place.is_file():
            return _words(place)
    raise CorruptWeights(
        "the rubric of metric 'hpsv3' is not on this machine: `pip install --no-deps hpsv3==1.0.0` brings it, or write "
        f"INSTRUCTION and prompt_with_special_token into {str(places[0])!r}"
    )


def _words(file: Path) -> Words:
    """Two texts that a file of Python names."""
    texts = dict[str, Any]()
    try:
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                texts[node.targets[0].id] = getattr(node.value, "value", None)
        words = Words(texts["INSTRUCTION"], texts["prompt_with_special_token"])
        if TOKEN not in words.around("x"):
            raise ValueError(f"they hold no {TOKEN}")
    except (OSError, SyntaxError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise CorruptWeights(f"{str(file)!r} does not hold the rubric of metric 'hpsv3' ({error})") from None
    return words


def _networks(file: Path, skeleton: Path, device: torch.device, dtype: torch.dtype) -> tuple[Any, nn.Module]:
    """The model and its head, from one file; the head computes in fp32."""
    from transformers import Qwen2VLModel

    require(file)
    config = read_config(skeleton / CONFIG)
    tensors = read_tensors(file)
    own = {
        name.removeprefix(HEAD): tensor.float() for name, tensor in tensors.items() if name.startswith(HEAD)
    }
    rows = [tensor.shape[0] for name, tensor in tensors.items() if re.search(r"embed_tokens\.weight$", name)]
    if not rows or len(own) != 6:
        raise CorruptWeights(f"{str(file)!r} holds no embedding or no head of HPSv3; download it again")
    for part in (config, config.get("text_config", {})):
        if "vocab_size" in part:
            part["vocab_size"] = rows[0]
    with tempfile.TemporaryDirectory() as together:  # one folder with both, as transformers wants it
        folder = Path(together)
        write_json(folder / CONFIG, config)
        (folder / WEIGHTS).symlink_to(file.resolve())
        network, _ = read_network(Qwen2VLModel, folder, file)
        network = finished(network, device, dtype)
    head = nn.Sequential(
        *(nn.Linear(own["0.weight"].shape[1], own["0.weight"].shape[0]), nn.ReLU(), nn.Dropout(0.05)),
        *(nn.Linear(own["0.weight"].shape[0], own["3.weight"].shape[0]), nn.ReLU()),
        nn.Linear(own["3.weight"].shape[0], own["5.weight"].shape[0]),
    )
    check_tensors(own, head.state_dict(), file)
    head.load_state_dict(own)
    return network, finished(head, device, torch.float32)
