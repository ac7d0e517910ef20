"""A search as the page watches it: the standard image, then the best so far with its score and cost, then what was found."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from threading import Event

from torch import Tensor

from noisekit.app.device import Device, progress_of
from noisekit.app.offer import Offer
from noisekit.engine.resolve import check_climbed, warn_of_unread
from noisekit.errors import NotSupported
from noisekit.evaluation.statistics import STANDARD
from noisekit.handover import HandedOver, hand_over
from noisekit.methods import load_method
from noisekit.methods.inputs import checked_prompts, checked_seeds
from noisekit.methods.loop import Moment
from noisekit.types import Budget, Cost, NoiseResult

#: Seconds between two looks at a search; at least as long as the last look took.
PACE = 0.2


@dataclass(frozen=True)
class Asked:
    """What a search is asked for."""

    prompt: str
    model: str
    method: str
    seed: int
    budget: Budget


@dataclass(frozen=True)
class Seen:
    """What there is to see of a search by now.

    Args:
        method: as it runs, every setting resolved; "" until the model is there.
        standard: the image (3, H, W) of the standard noise, and what it cost.
        best: that of the best noise so far; `score` and `cost` are of it.
        objective: what the score means.
        step: candidates that were tried, of how many.
        stopped: why the search is over; "" while it goes on.
        handed: the code and noise that make the image again, once the search is over; or why there are none.
        notes: warnings, a sentence each.
    """

    method: str = ""
    standard: Tensor | None = None
    standard_cost: Cost | None = None
    best: Tensor | None = None
    score: float | None = None
    cost: Cost | None = None
    objective: str = ""
    step: int = 0
    of: int = 0
    stopped: str = ""
    handed: HandedOver | str = ""
    notes: tuple[str, ...] = ()


def search(device: Device, offer: Offer, asked: Asked, stop: Event) -> Iterator[Seen]:
    """Run a search on the device; `stop` ends it after the candidate under way, and keeps its best.

    Raises `NoisekitError` on all that the command line would refuse.
    """
    chosen, source = offer.method(asked.method), offer.source(asked.model)
    checked_prompts(asked.prompt), checked_seeds([asked.seed])
    check_climbed([chosen], [source.outline()])

    def work(show: Callable[[Seen], None]) -> Seen:
        with device.model(source) as model, warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", UserWarning)
            warn_of_unread(model, [asked.prompt])
            standard = load_method(STANDARD)(model, asked.prompt, seeds=[asked.seed])
            standard.check_images()
            method = chosen.resolved(model)
            method.dependencies(model.device)  # loads the rewards; nobody's search pays for that
            seen = Seen(str(method), standard.images[0].cpu(), standard.cost, objective=method.objective)
            show(replace(seen, best=seen.standard))
            watch = _Recorder(seen, show, stop)
            result = chosen(model, asked.prompt, seeds=[asked.seed], budget=asked.budget, observe=watch)
            result.check_images()
            try:
                handed: HandedOver | str = hand_over(model, result)
            except NotSupported as reason:
                handed = str(reason)
            notes = tuple(dict.fromkeys(str(one.message) for one in said if one.category is UserWarning))
            return replace(_found(watch.seen, result), handed=handed, notes=notes)

    try:
        yield from progress_of(work)
    finally:
        stop.set()  # nobody looks any more


class _Recorder:
    """Shows the moments of a search, not all of them, and ends it where somebody wants it."""

    def __init__(self, seen: Seen, show: Callable[[Seen], None], stop: Event) -> None:
        self.seen, self._show, self._stop, self._next = seen, show, stop, 0.0

    def __call__(self, moment: Moment) -> bool:
        began = time.monotonic()
        self.seen = replace(self.seen, step=moment.step + 1, of=moment.of, cost=moment.cost)
        if began >= self._next:
            score = None if moment.best.score is None else moment.best.score[0].item()
            self.seen = replace(self.seen, best=moment.images()[0].cpu(), score=score)
            self._show(self.seen)
            now = time.monotonic()
            self._next = now + max(PACE, now - began)
        return self._stop.is_set()


def _found(seen: Seen, result: NoiseResult) -> Seen:
    score = None if result.score is None else result.score[0].item()
    return replace(seen, best=result.images[0].cpu(), score=score, cost=result.cost, stopped=result.stopped)
