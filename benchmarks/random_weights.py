"""Published models and rewards at full size with random weights: for measuring what they cost, not what they make.

random_weights.yaml holds the configurations. Networks are made where they run and in the number type in which they run;
tokenizers and schedulers are those of the tests' toy pipelines, which pad prompts to the length of real ones.
"""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file
from torch import nn

import tests.pipelines
from noisekit.models.base import Model
from noisekit.models.cards import DTYPES, cards
from noisekit.models.loading import assemble, resolve
from noisekit.models.memory import Placement
from noisekit.rewards.cards import variants
from tests.pipelines.encoders import bert_tokenizer
from tests.pipelines.parts import clip_tokenizer


@cache
def configurations() -> dict[str, Any]:
    return yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


def parts_of(name: str) -> dict[str, Any]:
    """The configurations of a card's networks, by the pipeline's names for them."""
    own = configurations()["cards"][name]
    return configurations()["families"][own["family"]]["networks"] | own.get("networks", {})


def network(part: dict[str, Any]) -> nn.Module:
    """A network of a class and a configuration, on the default device and of the default type."""
    module, _, name = part["class"].rpartition(".")
    cls = getattr(importlib.import_module(module), name)
    config = part["config"]
    return cls(**config) if module == "diffusers" else cls(cls.config_class(**config))


def toy_model(name: str, device: torch.device) -> Model:
    """The model of a card on toy networks, with images of 32 pixels and two steps at most."""
    card = cards()[name]
    steps = min(card.steps, 2)
    card = replace(card, size=32, steps=steps, timesteps=card.timesteps if card.steps == steps else None)
    return assemble(_toy_pipeline(name).to(device), card, Placement(device), move=False)


def full_model(name: str, device: torch.device) -> Model:
    """The model of a card at its published size."""
    card, placement, dtype = resolve(name, {"device": device})
    pipe = _toy_pipeline(name)
    vae_dtype = getattr(torch, DTYPES[card.vae_dtype]) if card.vae_dtype else dtype
    made = {
        part: _made(configuration, vae_dtype if part == "vae" else dtype, device)
        for part, configuration in parts_of(name).items()
    }
    pipe = type(pipe)(**{**pipe.components, **made})  # made anew, since it reads sizes off its networks
    return assemble(pipe, card, placement, move=False)


def _toy_pipeline(name: str) -> Any:
    own = configurations()["cards"][name]
    build = getattr(tests.pipelines, configurations()["families"][own["family"]]["pipeline"])
    return build(**own.get("pipeline_settings", {}))


def _made(configuration: dict[str, Any], dtype: torch.dtype, device: torch.device) -> nn.Module:
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return network(configuration)
    finally:
        torch.set_default_dtype(torch.float32)


def write_rewards(folder: Path, device: torch.device) -> None:
    """Checkpoint folders of ReNO's four rewards at their published sizes, in half precision: 7 GB."""
    from open_clip.model import CLIP
    from transformers import CLIPConfig, CLIPModel

    from noisekit.rewards.image_reward import ImageRewardNetwork
    from noisekit.rewards.preprocess import CLIP_MEAN, CLIP_STD

    hps, blip, mps = (variants()[name].checkpoint.architecture for name in ("hps", "image_reward", "mps"))
    with torch.device(device):
        _save(CLIP(**hps["model"]), folder / "hps" / "open_clip_model.safetensors")
        _save(ImageRewardNetwork(**blip["network"]), folder / "image_reward" / "model.safetensors")
        towers = CLIPConfig(**mps["clip"])
        for name in ("clip_score_h14", "pick_score"):
            _save(CLIPModel(towers), folder / name / "model.safetensors")
    preprocess = {"size": hps["size"], "mean": CLIP_MEAN, "std": CLIP_STD}
    config = {"model_cfg": hps["model"], "preprocess_cfg": preprocess, "tokenizer": "open_clip"}
    (folder / "hps" / "open_clip_config.json").write_text(json.dumps(config))
    config = blip["network"] | {key: blip[key] for key in ("mean", "std", "length")}
    (folder / "image_reward" / "config.json").write_text(json.dumps(config))
    bert_tokenizer().save_pretrained(folder / "image_reward")
    for name in ("clip_score_h14", "pick_score"):
        towers.save_pretrained(folder / name)
        clip_tokenizer().save_pretrained(folder / name)
    prepared = {"size": {"shortest_edge": 224}, "image_mean": CLIP_MEAN, "image_std": CLIP_STD}
    for name in ("image_reward", "clip_score_h14", "pick_score"):
        (folder / name / "preprocessor_config.json").write_text(json.dumps(prepared))


def _save(made: nn.Module, file: Path) -> None:
    file.parent.mkdir(parents=True)
    tensors = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in made.state_dict().items()
    }
    save_file(tensors, file, {"format": "pt"})
