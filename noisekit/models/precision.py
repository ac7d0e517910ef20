"""Number types: what has to be fp32 whatever the networks are.

The noise, the state between the sampler's steps and the guidance sum are kept in fp32 by `DiffusersModel`. SDXL's original
autoencoder overflows in fp16, as its configuration says (`force_upcast`): it is widened to fp32 here once, where its
pipeline's own call widens it anew for every image. Its first layer then takes latents of any type, so that the call of a
pipeline in half precision goes on working.
"""

from __future__ import annotations

from typing import Any

import torch


def widen(vae: Any) -> None:
    """Turn an autoencoder into fp32 for good."""
    vae.to(torch.float32)
    first = getattr(vae, "post_quant_conv", None) or vae.decoder.conv_in
    first.register_forward_pre_hook(lambda layer, inputs: (inputs[0].to(layer.weight.dtype),))


def overflows(vae: Any) -> bool:
    """Whether an autoencoder is in fp16 and says that it overflows there."""
    return vae.dtype == torch.float16 and bool(vae.config.get("force_upcast"))
