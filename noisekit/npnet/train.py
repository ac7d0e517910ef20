"""Stage II of NPNet: learn x_T → x′_T from the pairs that the filter keeps.

    keep {s_0 + m < s_0′}        minimise mean ‖NPNet(x_T, c) − x′_T‖²        AdamW, α = β = 0 at the start

Zhou et al. 2024, "Golden Noise for Diffusion Models", arXiv 2411.09502: learning rate 1e-4, batches of 64, 30 epochs, a
tenth of the pairs for validation, no averaging, schedule or clipping, the last epoch's weights. Each pair comes with its own
prompt's embedding (the public trainer gives the first prompt's to the whole batch). Validation prompts are none of the
training ones, which asks more than leaving pairs out.

Pairs stream from their shards and prompt embeddings are kept up to a bound, so that neither is ever in memory as a whole.
Processes that `accelerate launch` or `torchrun` started share each batch, and learn what one would, up to rounding
and the residual branch's drop path. A training that was stopped goes on in mid-epoch, on a CPU as if it had not been.

Losses are means over elements. Two trivial predictions stand beside them: `identity`, x_T itself, and `shift`, x_T and the
training pairs' mean difference. Only below both has the network learnt anything of the prompt or the noise.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

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
from noisekit.npnet.pairs import Collection, filters, fingerprint
from noisekit.npnet.start import begin_from, sizes_from
from noisekit.npnet.stream import Batch, Kept, batches, select, split
from noisekit.npnet.together import Together
from noisekit.paths import given_path
from noisekit.pickles import read_pickle, write_pickle
from noisekit.rewards.folders import DAMAGE, damaged

#: Bytes of encoded prompts that are kept while training: between the tensors of larger passes they take twice as much.
TEXTS = 64 * 2**20
#: Batches after which an epoch is saved.
SAVED = 500


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
    """Train on a collection of the model's pairs and write an artefact.

    It is saved on its way, so that the same call goes on after an interruption; a finished one returns its card.

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
    pairs = select(collection, training.metric, training.margin)
    learnt, held_out = split(pairs, training.seed)
    prompts = pairs.read(0).prompts[:1]
    text_shape = model.encode(prompts).positive.shape[1:]
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
    together = Together(model.device)
    with kept(folder), together.alone(only_writer(folder)), model.texts_within(TEXTS):
        loop = _Loop(model, sizes, training, folder / "training.pt", asked, together, before)
        trivial = _trivial(learnt, held_out)
        loop.run(learnt, held_out, trivial["identity"], progress)
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
            "losses": {"epochs": loop.history, **trivial},
            "minutes": round(loop.seconds / 60, 1),
            "versions": {"noisekit": __version__, "torch": torch.__version__},
        }
        if together.first:
            save_artefact(folder, loop.network, card)
    return card


def _trivial(learnt: Kept, held_out: Kept) -> dict[str, float]:
    """Validation losses of the predictions that need no network."""
    shift = sum((part.target.double() - part.source.double()).sum(0) for part in _parts(learnt)) / len(learnt)
    losses = {"identity": 0.0, "shift": 0.0}
    for part in _parts(held_out):
        moved = part.target.double() - part.source.double()
        losses["identity"] += moved.square().mean().item() * len(moved) / len(held_out)
        losses["shift"] += (moved - shift).square().mean().item() * len(moved) / len(held_out)
    return losses


def _parts(kept: Kept) -> Iterator[Batch]:
    return (kept.read(i) for i in range(len(kept.shards)))


class _Loop:
    """The training loop, saved every epoch and every `SAVED` batches. The order of epoch i depends on (seed, i) alone."""

    def __init__(
        self,
        model: Model,
        config: NPNetConfig,
        training: Training,
        state: Path,
        asked: str,
        together: Together,
        before: Path | None,
    ) -> None:
        torch.manual_seed(training.seed)
        self.model, self.training, self.state, self.asked = model, training, state, asked
        self.together = together
        self.network = NPNet(config)
        self.anew = [] if before is None else begin_from(before, self.network)
        self.network.to(model.device)
        self.weights = list(self.network.parameters())
        self.optimiser = torch.optim.AdamW(self.weights, lr=training.lr)
        self.history: list[dict[str, float]] = []
        self.seconds = 0.0
        #: Batches of the epoch at work that are done, the sum of their losses, and the random state that they left.
        self.done, self.total, self.random = 0, 0.0, torch.get_rng_state()
        if state.exists():
            self._resume()

    def run(self, learnt: Kept, held_out: Kept, identity: float, progress: bool) -> None:
        epochs = range(len(self.history), self.training.epochs)
        bar = tqdm(
            epochs,
            initial=len(self.history),
            total=self.training.epochs,
            desc="npnet",
            unit="epoch",
            disable=not (progress and self.together.first),
        )
        for epoch in bar:
            started = time.monotonic()
            loss = self._epoch(learnt, epoch)
            validation = self._validation(held_out)
            self.seconds += time.monotonic() - started
            self.history.append({"train": loss, "validation": validation})
            bar.set_postfix_str(f"validation {validation:.5f}, identity {identity:.5f}")
            self._save()
        self.network.eval()
        self.together.finish()

    def _epoch(self, pairs: Kept, epoch: int) -> float:
        self.network.train()
        torch.manual_seed(self.training.seed * 1_000_003 + epoch)  # drop path as well
        order = torch.randperm(len(pairs))
        if self.done:
            torch.set_rng_state(self.random)
        for batch in batches(pairs, order, self.training.batch, self.done):
            self.total += self._step(batch) * len(batch.prompts)
            self.done += 1
            if self.done % SAVED == 0:
                self._save()
        total, self.done, self.total = self.total, 0, 0.0
        return total / len(pairs)

    def _step(self, batch: Batch) -> float:
        """One update; the mean loss of the batch."""
        mine = self.together.share(len(batch.prompts))
        number, loss = mine.stop - mine.start, 0.0
        self.optimiser.zero_grad()
        if number:
            own = self._loss(batch, mine)
            own.backward()
            loss = own.item()
        self.together.average_gradients(self.weights, number)
        self.optimiser.step()
        if self.together.number == 1:
            return loss
        return self.together.total(self.weights[0].new_tensor([loss * number])).item() / len(batch.prompts)

    @torch.no_grad()
    def _validation(self, pairs: Kept) -> float:
        self.network.eval()
        parts = batches(pairs, torch.arange(len(pairs)), self.training.batch)
        losses = [(self._loss(part, slice(None)).item(), len(part.prompts)) for part in parts]
        return sum(loss * number for loss, number in losses) / len(pairs)

    def _loss(self, batch: Batch, mine: slice) -> Tensor:
        device = self.model.device
        text = self.model.encode(batch.prompts[mine]).positive
        golden = self.network(batch.source[mine].to(device), text)
        return mse_loss(golden, batch.target[mine].to(device).float())

    def _save(self) -> None:
        saved: Mapping[str, Any] = {
            "asked": self.asked,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "history": self.history,
            "seconds": self.seconds,
            "epoch": {"done": self.done, "total": self.total, "random": torch.get_rng_state()},
        }
        if self.together.first:
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
            if epoch := saved.get("epoch"):  # older ones were saved after whole epochs only
                self.done, self.total, self.random = (
                    int(epoch["done"]),
                    float(epoch["total"]),
                    epoch["random"],
                )
        except DAMAGE as error:
            raise damaged(self.state, error) from error
