"""Stage II of NPNet: learn x_T → x′_T from the pairs that the filter keeps.

    keep {s_0 + m < s_0′}        minimise mean ‖NPNet(x_T, c) − x′_T‖²        AdamW, α = β = 0 at the start

Zhou et al. 2024, "Golden Noise for Diffusion Models", arXiv 2411.09502: learning rate 1e-4, batches of 64, 30 epochs, a
tenth of the pairs for validation, no averaging, schedule or clipping, the last epoch's weights. Each pair comes with its own
prompt's embedding (the public trainer gives the first prompt's to the whole batch). Validation prompts are none of the
training ones, which asks more than leaving pairs out.

Losses are means over elements. Two trivial predictions stand beside them: `identity`, x_T itself, and `shift`, x_T and the
training pairs' mean difference. Only below both has the network learnt anything of the prompt or the noise.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import mse_loss
from tqdm.auto import tqdm

from noisekit import __version__
from noisekit.errors import BadValue, CorruptWeights
from noisekit.files import kept, only_writer
from noisekit.models.base import Model
from noisekit.npnet.checkpoint import artefact_hash, find_artefact, save_artefact
from noisekit.npnet.collect import scored_by
from noisekit.npnet.network import NPNet, NPNetConfig, suited
from noisekit.npnet.pairs import Collection, Pairs, filters, fingerprint, load_pairs
from noisekit.npnet.start import begin_from, sizes_from
from noisekit.paths import given_path
from noisekit.pickles import read_pickle, write_pickle
from noisekit.rewards.folders import DAMAGE, damaged


@dataclass(frozen=True)
class Training:
    """How to train; the defaults are the published values.

    metric: that a pair has to gain by, or several with commas between them, by all of which it has to (the paper's Table 7);
    None keeps all pairs, whatever the margin.
    """

    epochs: int = 30
    batch: int = 64
    lr: float = 1e-4
    metric: str | None = "hps"
    margin: float = 0.0
    svd: bool = True
    residual: bool = True
    text: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch"):
            if getattr(self, name) < 1:
                raise BadValue(
                    f"{name}={getattr(self, name)!r} of npnet train is not a whole number of 1 or more"
                )
        if not self.lr > 0:
            raise BadValue(f"lr={self.lr!r} of npnet train is not above 0")
        if self.metric is not None and not filters(self.metric):
            raise BadValue(
                f"metric={self.metric!r} of npnet train names no metric; leave the filter out instead"
            )
        if not (self.svd or self.residual or self.text):
            raise BadValue("npnet train needs at least one of the branches svd, residual and text")


def train(
    collection: Collection,
    model: Model,
    out: str | Path,
    *,
    training: Training | None = None,
    config: NPNetConfig | None = None,
    start: str | Path | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Train on a collection of the model's pairs, all kept ones in memory, and write an artefact.

    Every epoch is saved, so that the same call goes on after an interruption; a finished one returns its card.

    Args:
        collection: of pairs.
        model: whose pairs they are; it encodes the prompts.
        out: folder of the artefact.
        training: epochs, learning rate, branches, filter (None: as published).
        config: sizes of the network (None: `suited` to the model); its branches are the training's.
        start: an artefact to begin from, whose sizes then count; see `noisekit.npnet.start` (None: begin anew).
        progress: whether to show a bar.

    Returns:
        The artefact's card.

    Raises:
        BadValue: for pairs of another model, when `out` holds another training, or where `start` does not fit the model.
        Unwritable: on a full disk, or while another process trains into `out`.
    """
    training, folder = training or Training(), given_path(out)
    if collection.said("model_id") != fingerprint(model.identity):
        raise BadValue(
            f"the pairs in {str(collection.folder)!r} are those of model {collection.said('model')!r}, and {model.name!r} "
            "as it was loaded is another or has other weights; give their model, or collect them anew"
        )
    pairs = load_pairs(collection, training.metric, training.margin)
    learnt, held_out = _split(pairs, training.seed)
    text_shape = model.encode(pairs.prompts[:1]).positive.shape[1:]
    before = None if start is None else find_artefact(str(start))
    if before is None:
        sizes = config or suited(model.noise_shape, (text_shape[0], text_shape[1]))
    else:
        sizes = sizes_from(before, model.noise_shape, (text_shape[0], text_shape[1]))
    sizes = replace(sizes, svd=training.svd, residual=training.residual, text=training.text)
    asked = fingerprint(
        asdict(training)
        | {"pairs": dict(collection.about), "n": len(pairs), "config": sizes.json()}
        | ({} if before is None else {"start": artefact_hash(before)})
    )
    with kept(folder), only_writer(folder):
        loop = _Loop(model, sizes, training, folder / "training.pt", asked, before)
        loop.run(learnt, held_out, progress)
        card = {
            "model": {"name": collection.said("model"), "id": collection.said("model_id")},
            "pairs": {name: value for name, value in collection.about.items() if not name.startswith("model")}
            | {"collected": pairs.collected, "kept": len(pairs), "validation": len(held_out)},
            "metric": training.metric,
            "metric_weights": training.metric
            and ",".join(scored_by(collection, name) for name in filters(training.metric)),
            "training": asdict(training),
            "start": before
            and {"artefact": str(start), "hash": artefact_hash(before), "anew": list(loop.anew)},
            "parameters": sum(p.numel() for p in loop.network.parameters()),
            "alpha": None if loop.network.alpha is None else loop.network.alpha.item(),
            "beta": None if loop.network.beta is None else loop.network.beta.item(),
            "losses": {"epochs": loop.history, **_trivial(learnt, held_out)},
            "minutes": round(loop.seconds / 60, 1),
            "versions": {"noisekit": __version__, "torch": torch.__version__},
        }
        save_artefact(folder, loop.network, card)
    return card


def _split(pairs: Pairs, seed: int) -> tuple[Pairs, Pairs]:
    """A tenth of the prompts, at least one, and their pairs for validation."""
    prompts = sorted(set(pairs.prompts))
    if len(prompts) < 2:
        raise BadValue(f"{len(pairs)} pairs of one prompt leave none for validation; collect more prompts")
    order = np.random.default_rng(seed).permutation(len(prompts))
    chosen = {prompts[i] for i in order[: max(1, len(prompts) // 10)]}
    inside = torch.tensor([prompt in chosen for prompt in pairs.prompts])

    def part(mask: Tensor) -> Pairs:
        where = mask.nonzero().flatten()
        texts = [pairs.prompts[i] for i in where]
        return Pairs(texts, pairs.source[where], pairs.target[where], pairs.collected)

    return part(~inside), part(inside)


def _trivial(learnt: Pairs, held_out: Pairs) -> dict[str, float]:
    """Validation losses of the predictions that need no network."""
    shift = (learnt.target - learnt.source).mean(0)
    return {
        "identity": mse_loss(held_out.source, held_out.target).item(),
        "shift": mse_loss(held_out.source + shift, held_out.target).item(),
    }


class _Loop:
    """The training loop, saved after every epoch. The order of epoch i depends on (seed, i) alone."""

    def __init__(
        self,
        model: Model,
        config: NPNetConfig,
        training: Training,
        state: Path,
        asked: str,
        before: Path | None,
    ) -> None:
        torch.manual_seed(training.seed)
        self.model, self.training, self.state, self.asked = model, training, state, asked
        self.network = NPNet(config)
        self.anew = [] if before is None else begin_from(before, self.network)
        self.network.to(model.device)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=training.lr)
        self.history: list[dict[str, float]] = []
        self.seconds = 0.0
        if state.exists():
            self._resume()

    def run(self, learnt: Pairs, held_out: Pairs, progress: bool) -> None:
        epochs = range(len(self.history), self.training.epochs)
        bar = tqdm(
            epochs,
            initial=len(self.history),
            total=self.training.epochs,
            desc="npnet",
            unit="epoch",
            disable=not progress,
        )
        identity = _trivial(learnt, held_out)["identity"]
        for epoch in bar:
            started = time.monotonic()
            loss = self._epoch(learnt, epoch)
            validation = self._validation(held_out)
            self.seconds += time.monotonic() - started
            self.history.append({"train": loss, "validation": validation})
            bar.set_postfix_str(f"validation {validation:.5f}, identity {identity:.5f}")
            self._save()
        self.network.eval()

    def _epoch(self, pairs: Pairs, epoch: int) -> float:
        self.network.train()
        torch.manual_seed(self.training.seed * 1_000_003 + epoch)  # drop path as well
        total = 0.0
        for part in torch.randperm(len(pairs)).split(self.training.batch):
            loss = self._loss(pairs, part)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            total += loss.item() * len(part)
        return total / len(pairs)

    @torch.no_grad()
    def _validation(self, pairs: Pairs) -> float:
        self.network.eval()
        parts = torch.arange(len(pairs)).split(self.training.batch)
        return sum(self._loss(pairs, part).item() * len(part) for part in parts) / len(pairs)

    def _loss(self, pairs: Pairs, part: Tensor) -> Tensor:
        device = self.model.device
        text = self.model.encode([pairs.prompts[i] for i in part]).positive
        return mse_loss(
            self.network(pairs.source[part].to(device), text), pairs.target[part].to(device).float()
        )

    def _save(self) -> None:
        saved: Mapping[str, Any] = {
            "asked": self.asked,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "history": self.history,
            "seconds": self.seconds,
        }
        write_pickle(saved, self.state)

    def _resume(self) -> None:
        saved = read_pickle(self.state)
        if not isinstance(saved, dict) or not {*saved} >= {
            "asked",
            "network",
            "optimiser",
            "history",
            "seconds",
        }:
            raise CorruptWeights(f"{str(self.state)!r} holds no training; delete it to start anew")
        if saved["asked"] != self.asked:
            raise BadValue(
                f"folder {str(self.state.parent)!r} holds a training with other settings or other pairs; use another "
                "folder, or delete its training.pt to start anew"
            )
        try:
            self.network.load_state_dict(saved["network"])
            settings = self.optimiser.state_dict()[
                "param_groups"
            ]  # the training's own, whatever the file says
            self.optimiser.load_state_dict({"state": saved["optimiser"]["state"], "param_groups": settings})
            for parameter, state in self.optimiser.state.items():
                if any(value.dim() and value.shape != parameter.shape for value in state.values()):
                    raise ValueError("its optimiser is that of another network")
            self.history = [
                {name: float(value) for name, value in epoch.items()} for epoch in saved["history"]
            ]
            self.seconds = float(saved["seconds"])
        except DAMAGE as error:
            raise damaged(self.state, error) from error
