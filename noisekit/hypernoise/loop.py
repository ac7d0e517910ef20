"""The loop that trains a predictor on rewards: one batch over all processes, averaged weights, looks at held-out prompts.

Processes hold the same weights at all times (see `npnet.together`), and so look at the held-out prompts alike.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor
from tqdm.auto import tqdm

from noisekit.errors import BadValue, CorruptWeights
from noisekit.hypernoise.objective import Figures, Objective
from noisekit.hypernoise.predictor import Predictor
from noisekit.hypernoise.settings import RewardTraining
from noisekit.npnet.together import Together
from noisekit.pickles import read_pickle, write_pickle
from noisekit.rewards.folders import DAMAGE, damaged
from noisekit.threads import fitting

STATE = "training.pt"

#: What a saved training holds.
SAVED = (
    "asked",
    "weights",
    "averaged",
    "optimiser",
    "scaler",
    "update",
    "history",
    "best",
    "kept",
    "seconds",
)


class Loop:
    """A training that was begun or is gone on with; `update` is how many updates its weights have seen."""

    def __init__(
        self,
        objective: Objective,
        watched: Objective,
        predictor: Predictor,
        training: RewardTraining,
        folder: Path,
        asked: str,
        *,
        logs: bool = False,
    ) -> None:
        self.objective, self.watched, self.predictor = objective, watched, predictor
        self.training, self.state, self.asked = training, folder / STATE, asked
        self.together = Together(objective.model.device, training.precision, folder if logs else None)
        parts = self.together.number * training.accumulate
        if training.batch % parts:
            raise BadValue(
                f"batch={training.batch} cannot be shared by {self.together.number} processes in {training.accumulate} "
                f"parts each; give a multiple of {parts}"
            )
        self.weights = {name: own for name, own in predictor.named_parameters() if own.requires_grad}
        self.averaged = {name: own.detach().clone() for name, own in self.weights.items()}
        self.optimiser = self.together.optimiser(_optimiser(training, list(self.weights.values())))
        self.update, self.seconds = 0, 0.0
        self.history: list[dict[str, float]] = []
        self.standard: dict[str, float] = {}
        self.best: dict[str, float] = {}
        self.kept = self.averaged
        if self.state.exists():
            self._resume()

    def run(self, learnt: Sequence[str], held_out: Sequence[str], noise: Tensor, progress: bool) -> None:
        """Train to the end; `noise` is that of the held-out prompts."""
        size = self.objective.model.card.batch
        self.standard = self.watched.judged(None, held_out, noise, size).means()
        total = self.training.updates
        shown = progress and self.together.first
        with tqdm(total=total, initial=self.update, desc="hypernoise", disable=not shown) as bar:
            seen: list[Figures] = []
            while self.update < total and not self._waited_enough():
                started = time.monotonic()
                seen.append(self._step(learnt))
                looks = self.update % self.training.every == 0 or self.update == total
                if looks:
                    with self._with(self.averaged):
                        held = self.watched.judged(self.predictor, held_out, noise, size).means()
                    self._note(self._means(seen), held)
                    seen = []
                self.seconds += time.monotonic() - started
                if looks:
                    self._save()
                    bar.set_postfix_str(
                        f"held out {held['reward']:.4g}, standard {self.standard['reward']:.4g}"
                    )
                bar.update()
        self.together.finish()

    def keep_best(self) -> None:
        """Give the predictor the weights that were best on the held-out prompts."""
        with torch.no_grad():
            for name, own in self.weights.items():
                own.copy_(self.kept[name])

    def _step(self, learnt: Sequence[str]) -> Figures:
        """One update; the figures of this process's part of the batch."""
        t = self.training
        for group in self.optimiser.param_groups:
            group["lr"] = t.rate(self.update)
        prompts, noise = drawn(learnt, self.objective.model.noise_shape, t.batch, t.seed, self.update)
        mine = self.together.share(t.batch)
        texts, noise = prompts[mine], noise[mine].to(self.objective.model.device)
        size = len(texts) // t.accumulate
        self.optimiser.zero_grad()
        parts = []
        for start in range(0, len(texts), size):
            part = slice(start, start + size)
            with fitting(self.objective.model.parameters), self.together.autocast():
                loss, figures = self.objective(self.predictor, texts[part], noise[part])
                self.together.backward(loss / t.accumulate)
            parts.append(figures)
        weights = [*self.weights.values()]
        self.together.average_gradients(weights, len(texts))
        self.together.clip(weights, t.clip)
        self.optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(self.averaged.values()), [*self.weights.values()], 1 - t.average)
        self.update += 1
        return Figures.together(parts)

    def _means(self, seen: Sequence[Figures]) -> dict[str, float]:
        """The means of what all processes saw."""
        sums = torch.stack([values.sum() for values in Figures.together(seen)])
        count = sums.new_tensor([sum(len(part.reward) for part in seen)])
        *means, number = self.together.total(torch.cat([sums, count])).tolist()
        return {name: value / number for name, value in zip(Figures._fields, means, strict=True)}

    def _note(self, seen: Mapping[str, float], held: Mapping[str, float]) -> None:
        """Write down a look, and keep the averaged weights if they are the best so far."""
        figures = dict(seen) | {f"held_out_{name}": value for name, value in held.items()}
        self.history.append({"update": self.update} | figures)
        self.together.log(figures | {"lr": self.training.rate(self.update)}, self.update)
        if not self.best or held["reward"] > self.best["reward"]:
            self.best = {"update": self.update, **held}
            self.kept = {name: own.clone() for name, own in self.averaged.items()}

    def _waited_enough(self) -> bool:
        patience = self.training.patience
        if patience is None or not self.best:
            return False
        return self.update - self.best["update"] >= patience * self.training.every

    @contextmanager
    def _with(self, weights: Mapping[str, Tensor]) -> Iterator[None]:
        """The predictor with other weights, for as long as it is entered."""
        own = {name: value.detach().clone() for name, value in self.weights.items()}
        try:
            for name, value in self.weights.items():
                value.data.copy_(weights[name])
            yield
        finally:
            for name, value in self.weights.items():
                value.data.copy_(own[name])

    def _save(self) -> None:
        if self.together.first:
            values = {
                "asked": self.asked,
                "weights": {name: own.detach() for name, own in self.weights.items()},
                "averaged": self.averaged,
                "optimiser": self.optimiser.state_dict(),
                "scaler": self.together.scale,
                "update": self.update,
                "history": self.history,
                "best": self.best,
                "kept": self.kept,
                "seconds": self.seconds,
            }
            write_pickle(values, self.state)

    def _resume(self) -> None:
        saved = read_pickle(self.state)
        if not isinstance(saved, dict) or not {*saved} >= {*SAVED}:
            raise CorruptWeights(f"{str(self.state)!r} holds no training on rewards; delete it to start anew")
        if saved["asked"] != self.asked:
            raise BadValue(
                f"folder {str(self.state.parent)!r} holds a training with other settings, prompts, rewards or model; use "
                f"another folder, or delete its {STATE} to start anew"
            )
        try:
            for name, own in self.weights.items():
                own.data.copy_(saved["weights"][name])
                self.averaged[name].copy_(saved["averaged"][name])
            self.kept = {name: saved["kept"][name].to(own.device) for name, own in self.weights.items()}
            groups = self.optimiser.state_dict()["param_groups"]  # the training's own, whatever the file says
            self.optimiser.load_state_dict({"state": saved["optimiser"]["state"], "param_groups": groups})
            self.together.scale = saved["scaler"]
            self.update, self.seconds = int(saved["update"]), float(saved["seconds"])
            self.best = {name: float(value) for name, value in saved["best"].items()}
            self.history = [{k: float(v) for k, v in look.items()} for look in saved["history"]]
        except DAMAGE as error:
            raise damaged(self.state, error) from error


def drawn(
    learnt: Sequence[str], shape: tuple[int, ...], batch: int, seed: int, update: int
) -> tuple[list[str], Tensor]:
    """The prompts and noises (B, C, h, w) of one update."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + update)
    chosen = torch.randint(len(learnt), (batch,), generator=generator)
    return [learnt[i] for i in chosen], torch.randn((batch, *shape), generator=generator)


def _optimiser(training: RewardTraining, weights: list[Tensor]) -> torch.optim.Optimizer:
    if training.optimiser == "sgd":
        return torch.optim.SGD(weights, lr=training.lr, momentum=0.9)
    return torch.optim.AdamW(weights, lr=training.lr, betas=(0.9, 0.99), weight_decay=0.0)
