"""A trained hypernetwork on disk, in the formats of the libraries that know such networks.

    copy    config.json, diffusion_pytorch_model.safetensors     a network of diffusers
    lora    adapter_config.json, adapter_model.safetensors       layers of peft for the model's own denoiser
    card.json beside them tells how they were made: model, rewards, losses; it decides nothing

The second is what the authors published for SANA-Sprint 0.6B (`lucaeyring/HyperNoise_Sana_Sprint_0.6B`), without a card. The
identity of an artefact is a hash over its configuration and its weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from noisekit.errors import BadValue, CorruptWeights, NotSupported
from noisekit.files import read_json, whole, write_json
from noisekit.hypernoise.predictor import (
    ADAPTER,
    Kind,
    Predictor,
    denoiser_model,
    lora_config,
    sharing,
    with_lora,
)
from noisekit.models.base import Model
from noisekit.models.networks import load_network
from noisekit.models.pipeline import DiffusersModel
from noisekit.npnet.checkpoint import CARD, REPOSITORY, from_hub
from noisekit.paths import BUNDLED, given_path
from noisekit.rewards.folders import DAMAGE, damaged, require

#: Configuration and weights of each kind.
COPY = ("config.json", "diffusion_pytorch_model.safetensors")
LORA = ("adapter_config.json", "adapter_model.safetensors")

#: What is told of artefacts that come without a card: the rewards of the paper, and the model.
PUBLISHED: Mapping[str, Mapping[str, Any]] = {
    "lucaeyring/HyperNoise_Sana_Sprint_0.6B": {
        "model": {"name": "sana-sprint-0.6b"},
        "optimised": ["hps", "image_reward", "clip_score", "pick_score"],
    }
}

#: What peft puts before a layer's name.
PREFIX = "base_model.model."


def find_artefact(name: str) -> Path:
    """A hypernetwork by name: one that ships with noisekit, a folder, or a hub's repository.

    Raises `BadValue` if it is none of them, or if the hub cannot be reached.
    """
    for path in (BUNDLED / name, given_path(name)):
        if any((path / config).is_file() for config, _ in (COPY, LORA)):
            return path
    if REPOSITORY.fullmatch(name) and not given_path(name).exists():
        return from_hub(name, files=(*COPY, *LORA, CARD), what="hypernoise")
    raise BadValue(
        f"artefact {name!r} of hypernoise is no folder with {COPY[0]} or {LORA[0]} and the weights that go with it; train "
        "one with `noisekit learn rewards`"
    )


def artefact_hash(folder: Path) -> str:
    """SHA-256 over configuration and weights, its first 16 digits."""
    digest = hashlib.sha256()
    for name in _files(folder):
        require(folder / name)
        with (folder / name).open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]


def read_card(name: str) -> Mapping[str, Any]:
    """How an artefact was made, as far as its card or what was published of it says."""
    file = find_artefact(name) / CARD
    if not file.is_file():
        return PUBLISHED.get(name, {})
    try:
        card = read_json(file)
        if not isinstance(card, dict) or not isinstance(card.get("optimised", []), list):
            raise ValueError("it is no card of a hypernetwork")
    except (OSError, ValueError) as error:
        raise CorruptWeights(f"{str(file)!r} does not read as JSON ({error}); copy it again") from None
    return card


def save_artefact(folder: Path, predictor: Predictor, card: Mapping[str, Any], half: bool = True) -> None:
    """Write what was trained of a predictor, or leave what was there; the card last, so that a folder with a card is whole.

    half: whether weights are kept in half precision. Raises `OSError`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    network: Any = predictor.network
    lora = getattr(network, "peft_config", {}).get(ADAPTER)
    files = COPY if lora is None else LORA
    config = json.loads(network.to_json_string()) if lora is None else _sorted(lora.to_dict())
    config.pop("_name_or_path", None)  # where the denoiser lay on this machine
    named = network.state_dict() if lora is None else {_stored(k): v for k, v in _added(network).items()}
    dtype = torch.float16 if half else torch.float32
    weights = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in named.items()}
    # All three are written before the first takes its place: that of the configuration, which is the innermost.
    with whole(folder / CARD) as last, whole(folder / files[1]) as then, whole(folder / files[0]) as first:
        write_json(first, config)
        save_file(weights, then, {"format": "pt"})
        write_json(last, card)


def load_predictor(folder: Path, model: Model) -> Predictor:
    """The network of an artefact for a model, on its device and in its denoiser's precision, frozen.

    Raises:
        NotSupported: where it was made for another kind of network than the model's denoiser.
        CorruptWeights: unless every tensor fits.
    """
    made = denoiser_model(model)
    network = _copied(folder, made) if _files(folder) == COPY else _adapted(folder, made)
    return Predictor(made, network.eval().requires_grad_(False))


def begin_from(folder: Path, model: Model, kind: Kind) -> Predictor:
    """The network of an artefact, with what was trained of it in fp32 and to be trained further.

    Raises what `load_predictor` does, and `BadValue` where it is not of the kind that is asked for.
    """
    found: Kind = "copy" if _files(folder) == COPY else "lora"
    if found != kind:
        raise BadValue(
            f"artefact {str(folder)!r} of hypernoise is a network of kind {found!r}, and network={kind!r} was asked for; "
            f"train it further with network={found!r}"
        )
    predictor = load_predictor(folder, model)
    trained = _added(predictor.network) if found == "lora" else dict(predictor.network.named_parameters())
    for parameter in trained.values():
        parameter.data = parameter.data.float()
        parameter.requires_grad_(True)
    return predictor


def _files(folder: Path) -> tuple[str, str]:
    return LORA if (folder / LORA[0]).is_file() else COPY


def _copied(folder: Path, model: DiffusersModel) -> nn.Module:
    own, found = dict(model.denoiser.config), _config(folder / COPY[0])
    named = [name for name in own if not name.startswith("_") and name in found]
    _refuse_other(folder, model, [name for name in named if _plain(own[name]) != _plain(found[name])])
    network = load_network(folder, type(model.denoiser), model.denoiser.dtype)
    return network.to(model.device)


def _adapted(folder: Path, model: DiffusersModel) -> nn.Module:
    file, about = folder / LORA[1], _config(folder / LORA[0])
    require(file)
    try:
        network = with_lora(sharing(model.denoiser), lora_config(**about))
        weights = {_ours(name): tensor for name, tensor in load_file(file).items()}
    except DAMAGE as error:
        raise damaged(file, error) from error
    added = _added(network)
    other = sorted(added.keys() ^ weights.keys()) or sorted(
        name for name, tensor in added.items() if tensor.shape != weights[name].shape
    )
    _refuse_other(folder, model, other, str(about.get("base_model_name_or_path") or ""))
    for name, tensor in added.items():
        if not weights[name].isfinite().all():
            raise CorruptWeights(
                f"{str(file)!r} holds values that are not finite, in {name!r}; copy it again"
            )
        tensor.data = weights[name].to(model.device, model.denoiser.dtype)
    return network


def _refuse_other(folder: Path, model: DiffusersModel, differ: Sequence[str], base: str = "") -> None:
    """Raise `NotSupported` where an artefact's network and the model's denoiser differ in something."""
    if differ:
        raise NotSupported(
            f"artefact {str(folder)!r} of hypernoise was made for {base or 'another network'}, and does not fit the "
            f"denoiser of model {model.name!r}: they differ in {differ[0]!r}; train one for this model with `noisekit "
            "learn rewards`"
        )


def _config(file: Path) -> dict[str, Any]:
    require(file)
    try:
        content = read_json(file)
        if not isinstance(content, dict):
            raise ValueError("it holds no object")
    except (OSError, ValueError) as error:
        raise CorruptWeights(f"{str(file)!r} does not read as JSON ({error}); copy it again") from None
    return content


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _sorted(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration of peft, whose sets have no order of their own."""
    return {name: sorted(value) if isinstance(value, set) else value for name, value in config.items()}


def _added(network: nn.Module) -> dict[str, nn.Parameter]:
    return {name: own for name, own in network.named_parameters() if ADAPTER in name.split(".")}


def _stored(name: str) -> str:
    """A parameter's name as peft writes it: without the adapter's."""
    return PREFIX + name.replace(f".{ADAPTER}", "")


def _ours(name: str) -> str:
    plain = name.removeprefix(PREFIX)
    for half in ("lora_A", "lora_B"):
        plain = plain.replace(f".{half}.", f".{half}.{ADAPTER}.")
    return plain
