"""The network f of a noise hypernetwork, which sees a noise and a prompt as the denoiser sees them.

    ε* = ε + Δ        Δ = f(ε, c; t_0)        t_0 the timestep of pure noise, guidance as it is told when sampling

f has the denoiser's architecture and begins with its weights W, so it understands prompts from the start:

    copy    every weight is trained; the last layer begins at 0
    lora    W + (α/r)·B·A in every linear and ungrouped convolutional layer, B = 0 at the start; the last gives B·A alone

so that Δ = 0 at the start of both. Eyring et al. 2025, "Noise Hypernetworks", arXiv 2508.09968, train the second, of rank
r = 128 with α = 2r; its frozen weights are the denoiser's own and take no memory twice. Any other `nn.Module` of (ε, c) can
be trained as well.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from noisekit.errors import NotSupported
from noisekit.flops import Worker
from noisekit.models.base import Conditioning, Model
from noisekit.models.memory import is_offloaded
from noisekit.models.pipeline import DiffusersModel

Kind = Literal["copy", "lora"]

#: What the last layer of a denoiser is called in diffusers, whose output is the prediction.
LAST = ("conv_out", "proj_out")

#: The name of the added layers, as the authors of the paper call theirs.
ADAPTER = "hypernoise_adapter"


class Predictor(nn.Module, Worker):
    """Δ = f(ε, c), by a network of the denoiser's architecture in the denoiser's place."""

    def __init__(self, model: DiffusersModel, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self._twin, self._prompt = _with_denoiser(model, network), model.specimen_conditioning()

    def forward(self, noise: Tensor, conditioning: Conditioning) -> Tensor:
        """Δ (B, C, h, w) in fp32 of noise of that shape."""
        twin, x = self._twin, noise.to(next(self.network.parameters()).dtype)
        told = twin.first_timestep().to(x.device)
        return twin.network(x, told, conditioning.with_prompt, twin.card.guidance).float()

    def specimen(self, network: str) -> tuple[Callable[[Tensor], Tensor], Tensor] | None:
        """One noise, with its prompt."""
        if network != "predictor":
            return None
        noise = torch.zeros(1, *self._twin.noise_shape, device=self._twin.device)
        return lambda x: self(x, self._prompt), noise


def denoiser_model(model: Model) -> DiffusersModel:
    """`model`, where it has a denoiser that a predictor can be made of; raises `NotSupported` elsewhere."""
    if not isinstance(model, DiffusersModel) or _last(model.denoiser) is None:
        raise NotSupported(
            f"model {model.name!r} has no denoiser of diffusers with a last layer {' or '.join(LAST)}, of which hypernoise "
            "makes its network; take a model of `noisekit list models`"
        )
    if is_offloaded(model.denoiser):
        raise NotSupported(
            f"model {model.name!r} brings its denoiser to the device only when it is called, and hypernoise needs it there; "
            "load it without offload"
        )
    return model


def untrained(model: DiffusersModel, kind: Kind, rank: int = 128, seed: int = 0) -> Predictor:
    """A predictor whose Δ is 0, with what is to be trained requiring gradients; `rank` and `seed` are lora's."""
    if kind == "copy":
        network = copy.deepcopy(model.denoiser).float().requires_grad_(True)
        for parameter in _silent(network).parameters():
            nn.init.zeros_(parameter)
        return Predictor(model, network)
    network = sharing(model.denoiser)
    layers = [name for name, layer in network.named_modules() if _takes_lora(layer)]
    config = lora_config(r=rank, lora_alpha=2 * rank, target_modules=layers, init_lora_weights="gaussian")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        adapted = with_lora(network, config)
    return Predictor(model, adapted)


def lora_config(**settings: Any) -> Any:
    """peft's configuration of low-rank layers, of the settings that it knows; `NotSupported` where it is not installed."""
    try:
        from peft import LoraConfig
    except ImportError:
        raise NotSupported(
            "low-rank layers of hypernoise need peft, which is not installed; install noisekit[lora]"
        ) from None
    return LoraConfig(**{k: v for k, v in settings.items() if k in LoraConfig.__dataclass_fields__})


def with_lora(network: nn.Module, config: Any) -> nn.Module:
    """`network` with the layers of peft's `config`, in fp32 and alone to be trained; its last layer gives theirs alone."""
    from peft import inject_adapter_in_model

    _silent(network)
    adapted = inject_adapter_in_model(config, network, adapter_name=ADAPTER)
    for name, parameter in adapted.named_parameters():
        added = ADAPTER in name.split(".")
        parameter.requires_grad_(added)
        if added:
            parameter.data = parameter.data.float()
    return adapted


def sharing(network: nn.Module) -> nn.Module:
    """A copy of a network's layers with the very same weights: what is done to the layers is not done to the network."""
    held = [*network.parameters(), *network.buffers()]
    return copy.deepcopy(network, {id(tensor): tensor for tensor in held})


def _takes_lora(layer: nn.Module) -> bool:
    """Linear layers and convolutions, but for those that go channel by channel: they have no rank to speak of."""
    return isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1)


def _silent(network: nn.Module) -> nn.Module:
    """The last layer of a network, after its weights were replaced by zeros of its own."""
    name = _last(network)
    assert name is not None
    layer = getattr(network, name)
    for own, tensor in list(layer.named_parameters()):
        setattr(layer, own, nn.Parameter(torch.zeros_like(tensor), requires_grad=tensor.requires_grad))
    return layer


def _last(network: nn.Module) -> str | None:
    return next((name for name in LAST if isinstance(getattr(network, name, None), nn.Module)), None)


#: What a model keeps for itself: texts are encoded by it, and these hold on to it.
_OWN = ("_texts", "_described")


def _with_denoiser(model: DiffusersModel, network: nn.Module) -> DiffusersModel:
    """The same model with another network in its denoiser's place; all else is shared, and `model` stays as it is."""
    twin: DiffusersModel = object.__new__(type(model))
    twin.__dict__ = {name: value for name, value in vars(model).items() if name not in _OWN}
    twin.pipe = copy.copy(model.pipe)
    setattr(twin.pipe, model.denoiser_name, network)
    return twin
