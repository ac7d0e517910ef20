"""Quality on the way: what a search would have delivered at candidates 1, 2, 5, 10, 20, 50, …, and for what cost.

Images are made and scored with the method's clock and counters stopped. A search that decodes them shows them for
nothing. Of one that does not, the image of the best noise so far is made where curves are asked for, and its cost counts:

    cost(n) = cost of the first n candidates + that of the final image, unless the search brings it

Nothing is read off inside an annealed search: cut at n, it is not the search that is planned for n. So under several
budgets annealed searches are run once each, and the others once, under the widest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple
from itertools import accumulate, islice

from torch import Tensor

from noisekit.flops import worth
from noisekit.methods import NoiseMethod
from noisekit.methods.loop import Moment
from noisekit.metrics import Evaluator
from noisekit.models import Model
from noisekit.prompts import Prompt
from noisekit.types import COUNTED, Budget


class CheckpointRecorder:
    """An observer of the search of a resolved method, sample i being of prompts[i].

    curves: whether to make the images that the search does not.
    """

    def __init__(
        self, evaluator: Evaluator, method: NoiseMethod, model: Model, prompts: Sequence[Prompt], curves: bool
    ) -> None:
        self.evaluator, self.method, self.model, self.prompts = evaluator, method, model, prompts
        self._curves = curves
        self._figures: dict[int, dict[str, list[float]]] = {}

    def __call__(self, moment: Moment) -> None:
        brought = moment.best.images is not None
        if (
            (brought or self._curves)
            and is_checkpoint(moment.step + 1)
            and self.method.anytime(moment.step + 1)
        ):
            costs = self._costs(moment.step, brought)
            self._figures[moment.step] = self._scores(moment.images()) | costs

    def figures(self, step: int, sample: int) -> dict[str, float]:
        """metric_<name> and calls_<network> of a sample at a candidate, for the trace; nothing between checkpoints."""
        return {name: values[sample] for name, values in self._figures.get(step, {}).items()}

    def _scores(self, images: Tensor) -> dict[str, list[float]]:
        scores = self.evaluator.scores(images, self.prompts)
        return {
            f"metric_{metric.info.raw}": scores[metric.info.raw] for metric in self.evaluator.metrics.values()
        }

    def _costs(self, index: int, brought: bool) -> dict[str, list[float]]:
        """By the method's schedule: the meter would count all candidates of a batch at the first of them."""
        *_, spent = accumulate(islice(self.method.schedule(self.model), index + 1))
        total = spent if brought else spent + self.model.sample_cost()
        figures = {f"calls_{network}": getattr(total, network) for network in COUNTED}
        work = sum(islice(self.method.work(self.model), index + 1))
        final = 0.0 if brought else worth(self.model.sample_cost(), self.model.flops)
        equivalents = (work + final) / self.model.flops() if self.model.flops() else math.nan
        if math.isfinite(equivalents):
            figures["equivalents"] = equivalents
        return {name: [figure] * len(self.prompts) for name, figure in figures.items()}


def covered(method: NoiseMethod, budget: Budget, budgets: Sequence[Budget]) -> bool:
    """Whether a resolved method need not be run under one of several budgets, since its curve under a wider one says it."""
    return method.anytime(1) and any(other != budget and _wider(other, budget) for other in budgets)


def _wider(one: Budget, other: Budget) -> bool:
    """Whether no limit of `one` is below that of the other; a limit that is not there is infinite."""
    limits = [
        (math.inf if a is None else a, math.inf if b is None else b)
        for a, b in zip(astuple(one), astuple(other), strict=True)
    ]
    return all(a >= b for a, b in limits)


def is_checkpoint(count: int) -> bool:
    """Whether a number is 1, 2 or 5 times a power of ten."""
    return str(count).rstrip("0") in ("1", "2", "5")
