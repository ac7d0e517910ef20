"""NPNets on a model hub, as folders that are artefacts (see `noisekit.npnet.checkpoint`) with a README."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import torch
from huggingface_hub import ModelHubMixin

from noisekit.npnet.checkpoint import find_artefact, from_hub, load_network, save_artefact
from noisekit.npnet.network import NPNet

#: README.md of an artefact on a hub.
README = """---
{{ card_data }}
---

NPNet (arXiv 2411.09502): a network that turns a random noise and a prompt into a golden noise. `config.json` and
`model.safetensors` are the network, `card.json` tells how it was made. With noisekit: `npnet(artefact='REPOSITORY')`.
"""


class HubNPNet(NPNet, ModelHubMixin, model_card_template=README, library_name="noisekit", tags=["npnet"]):
    """A network that goes to and comes from a hub, bit for bit.

    `save_pretrained(folder)` writes an artefact, `push_to_hub(repository)` uploads it. The hub's own mixin for torch would
    load what fits and leave the rest random; files are read strictly here.
    """

    @classmethod
    def of(cls, network: NPNet) -> Self:
        """A network that is loaded already."""
        made = cls(network.config)
        made.load_state_dict(network.state_dict())
        made.card = network.card
        return made.eval().requires_grad_(False)

    def _save_pretrained(self, save_directory: Path) -> None:
        save_artefact(save_directory, self, self.card)

    @classmethod
    def from_pretrained(  # type: ignore[override]  # of the hub's arguments, those that artefacts know
        cls, name: str | Path, *, revision: str | None = None, device: torch.device | str = "cpu"
    ) -> Self:
        """The network of a folder, a published .pth file or a hub's repository, in eval mode and frozen.

        Args:
            name: of the folder, file or repository.
            revision: of the repository.
            device: where it runs.

        Raises:
            BadValue: where there is none.
            CorruptWeights: where one is damaged.
        """
        path = from_hub(str(name), revision) if revision else find_artefact(str(name))
        return cls.of(load_network(path)).to(device)
