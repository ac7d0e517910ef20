"""Fine-tuning: a training that begins with the weights of a network that was trained before.

Zhou et al. 2024, "Golden Noise for Diffusion Models", arXiv 2411.09502, made Hunyuan-DiT's network of SDXL's and 600 pairs.
The noise of both has one shape, so svd and residual branch go on from where they were; prompt embeddings differ (77 × 1024
and 77 × 2048), so where those of the network do not fit the model its text branch, W, b and α, begins anew.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from noisekit.errors import BadValue
from noisekit.npnet.checkpoint import load_network
from noisekit.npnet.network import NPNet, NPNetConfig

#: The tensors of the text branch.
TEXT = ("text.", "alpha")


def sizes_from(path: Path, noise_shape: tuple[int, ...], text_shape: tuple[int, int]) -> NPNetConfig:
    """The configuration of the network in an artefact, for a model's prompt embeddings (tokens, width).

    Raises `BadValue` where its latents are of another shape than the model's.
    """
    config = load_network(path).config
    if config.noise_shape != tuple(noise_shape):
        raise BadValue(
            f"artefact {str(path)!r} is a network for noise of shape {config.noise_shape}, and the model's is "
            f"{tuple(noise_shape)}: nothing of it can be trained further; begin anew, without it"
        )
    tokens, width = text_shape
    return replace(config, tokens=tokens, width=width)


def begin_from(path: Path, network: NPNet) -> list[str]:
    """Give a new network the weights of an artefact.

    Args:
        path: of the artefact.
        network: with the artefact's sizes, but for those of the text branch and branches that are left out.

    Returns:
        The branches that begin anew: "text" where the prompt embeddings are of another shape, or none.

    Raises:
        BadValue: where the network has a branch that the artefact lacks.
    """
    own, there = network.state_dict(), load_network(path).state_dict()
    fitting = {name: there[name] for name in own if name in there and there[name].shape == own[name].shape}
    anew = [name for name in own if name not in fitting]
    if "text.linear.weight" in anew:
        fitting = {name: tensor for name, tensor in fitting.items() if not name.startswith(TEXT)}
        anew = [name for name in anew if not name.startswith(TEXT)]
    if anew:
        raise BadValue(
            f"artefact {str(path)!r} lacks {anew[0]!r}, as it was trained without that branch; leave the branch out with "
            "--no-svd, --no-residual or --no-text"
        )
    network.load_state_dict(own | fitting)
    return ["text"] if network.config.text and "text.linear.weight" not in fitting else []
