"""The loop that every search runs in: the clock, the budget, and the best candidate of every sample.

    best ← ε_0
    for candidate in search(ε_0):          while the next candidate, and an image still to be made, fit the budget
        best_i ← the better of best_i and candidate_i                                        (see `best`)
        show the moment to whoever watches; clock and counters stand still     and end where he says so
    image = decode(sample(best))           unless the best candidate came with its image

Where candidates bring the noises that a stochastic sampler injects, ε_0 begins with those that it draws by itself.

A search is driven under `torch.no_grad()`: a method that differentiates turns gradients on where it needs them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, takewhile
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor
from tqdm.auto import tqdm

from noisekit.cost import Meter
from noisekit.errors import NotSupported
from noisekit.flops import worth
from noisekit.methods.best import better, describe_not_finite, not_finite
from noisekit.models.base import Model
from noisekit.noise import NoiseSource
from noisekit.threads import fitting
from noisekit.types import Budget, Candidate, Cost, NoiseResult, Trace, TracePoint


@dataclass(frozen=True)
class Moment:
    """A search after one of its candidates. Clock and counters stand still while somebody looks.

    Args:
        step: the candidate's number, from 0.
        of: how many candidates the search may try, all it plans or what the budget pays for; fewer where seconds run out.
        best: the best candidate so far of every sample.
        cost: what an image took so far, without a final image that is still to be made.
        show: see `images`.
    """

    step: int
    of: int
    best: Candidate
    cost: Cost
    show: Callable[[Candidate], Tensor]

    def images(self) -> Tensor:
        """The images (B, 3, H, W) in [0, 1] of the best so far; made now, at no cost, where the search brought none."""
        return self.show(self.best)


#: Called after every candidate with the moment; the search ends, and keeps its best, where it returns what is true.
Observer = Callable[[Moment], object]


class Searchable(Protocol):
    """What the loop asks of a method whose settings are resolved; see `NoiseMethod` for what each member means."""

    name: ClassVar[str]

    @property
    def horizon(self) -> int: ...
    @property
    def wrapped(self) -> Sequence[Any]: ...
    def search(self, model: Model, prompts: Sequence[str], source: NoiseSource) -> Iterator[Candidate]: ...
    def step_cost(self, model: Model) -> Cost: ...
    def work(self, model: Model) -> Iterator[float]: ...
    def schedule(self, model: Model) -> Iterator[Cost]: ...
    def delivers_images(self, model: Model) -> bool: ...
    def planned(self, candidates: int) -> Searchable: ...


def run(
    method: Searchable,
    model: Model,
    source: NoiseSource,
    budget: Budget,
    *,
    progress: bool = False,
    observe: Observer | None = None,
) -> NoiseResult:
    """Search within a budget and make the images.

    Args:
        method: with its settings resolved for `model`, and checked against it.
        source: the noise of the B samples, which also names their prompts and seeds.
        budget: the most that one image may cost.
        progress: whether to show a bar, one step a candidate.
        observe: see `Observer`.

    Returns:
        The best noise of every sample with its image, its score, the trace of the search and what it cost.
    """
    prompts = list(source.prompts)
    final_image = FinalImage(model, source)
    rate = final_image.seconds_per_call(budget)
    step = method.step_cost(model)
    # A budget may end inside a wrapper before the stage that brings images.
    brings = method.delivers_images(model) and not method.wrapped
    final_cost = Cost() if brings else model.sample_cost()
    limit = affordable(budget, method.schedule(model), final_cost, rate)
    if budget.equivalents is not None:
        limit = min(limit, affordable_work(budget.equivalents, method, model, final_cost))
    stopped: Literal["done", "budget", "asked", "not finite"] = (
        "done" if limit == method.horizon else "budget"
    )
    running = method.planned(limit) if stopped == "budget" else method
    points: list[TracePoint] = []
    best = Candidate(source.initial)
    broken: dict[int, tuple[int, str]] = {}
    slowest = 0.0
    with Meter(len(source), model.device) as meter, fitting(model.parameters):
        search = running.search(model, prompts, source)
        bar = tqdm(total=limit, desc=f"{method.name} × {len(source)}", disable=not progress, leave=False)
        while len(points) < limit:
            before = meter.cost
            reserve = max(slowest, step.calls * rate) + final_cost.calls * rate
            if budget.seconds is not None and before.seconds + reserve > budget.seconds:
                stopped = "budget"
                break
            with torch.no_grad():
                candidate = next(search, None)
            if candidate is None:
                break
            spent = meter.cost
            seconds, calls = spent.seconds - before.seconds, spent.calls - before.calls
            slowest, rate = max(slowest, seconds), max(rate, seconds / calls if calls else 0.0)
            if candidate.injected is not None and best.injected is None:
                best = replace(best, injected=source.injected(candidate.injected.shape[1]))
            best = better(best, candidate)
            broken = {i: (len(points), name) for i, name in not_finite(candidate).items()} | broken
            points.append(_point(len(points), spent, candidate, best))
            bar.update()
            if observe is not None:
                with meter.paused():
                    asked = observe(Moment(len(points) - 1, limit, best, spent, final_image.of))
                if asked:
                    stopped = "asked"
                    break
            if not candidate.noise.isfinite().flatten(1).all(1).any():
                stopped = "not finite"
                break
        bar.close()
        images = final_image.of(best)
    cost = meter.priced(model.flops())
    for i in not_finite(Candidate(best.noise, images=images)):
        broken.setdefault(i, (len(points), "image"))
    if broken:
        described = describe_not_finite(method.name, broken, prompts, source.seeds)
        warnings.warn(described, stacklevel=3)
    return NoiseResult(
        images=images,
        noise=best.noise,
        initial=source.initial,
        score=best.score,
        trace=Trace(tuple(points)),
        cost=cost,
        prompts=prompts,
        seeds=source.seeds,
        method=str(method),
        model=model.name,
        stopped=stopped,
        broken={i: name for i, (_, name) in broken.items()},
        injected=best.injected,
    )


class FinalImage:
    """Samples and decodes noise for the batch, with random numbers keyed by the sample."""

    def __init__(self, model: Model, source: NoiseSource) -> None:
        self.model, self.source = model, source

    @torch.no_grad()
    def __call__(self, noise: Tensor, injected: Tensor | None = None) -> Tensor:
        """decode(sample(ε)): images (B, 3, H, W) in [0, 1] of noise (B, C, h, w) and what the sampler is to inject."""
        conditioning, generators = (
            self.model.encode(list(self.source.prompts)),
            self.source.sampler_generators(),
        )
        latents = self.model.sample(noise, conditioning, generators, injected=injected)
        return self.model.decode(latents)

    def of(self, candidate: Candidate) -> Tensor:
        """The images that a candidate brings, or those of its noise."""
        if candidate.images is not None:
            return candidate.images
        return self(candidate.noise, candidate.injected)

    def seconds_per_call(self, budget: Budget) -> float:
        """Seconds of one denoiser call of one image in this batch, from a timed standard image; 0 if nobody asks."""
        if budget.seconds is None:
            return 0.0
        self(self.source.initial)
        with Meter(len(self.source), self.model.device) as meter:
            self(self.source.initial)
        return meter.cost.seconds / meter.cost.calls


def affordable(budget: Budget, schedule: Iterable[Cost], final_cost: Cost, rate: float) -> int:
    """How many of the first candidates fit a budget beside the final image; all of them without a budget.

    rate: seconds of one denoiser call.
    """
    limits = [math.inf if budget.calls is None else budget.calls]
    if budget.seconds is not None:
        limits.append(budget.seconds / rate)
    spent = accumulate((cost.calls for cost in schedule), initial=final_cost.calls)
    fitting = sum(1 for _ in takewhile(lambda calls: calls <= min(limits), spent)) - 1
    return int(max(0, fitting if budget.candidates is None else min(fitting, budget.candidates)))


def affordable_work(equivalents: float, method: Searchable, model: Model, final_cost: Cost) -> int:
    """How many of the first candidates fit so many denoiser equivalents beside the final image.

    Raises `NotSupported` where the operations of a network are not known.
    """
    spent = list(accumulate(method.work(model), initial=worth(final_cost, model.flops)))
    unit = model.flops()
    if not (unit > 0 and math.isfinite(spent[-1])):
        raise NotSupported(
            f"a budget in denoiser equivalents needs the operations of every network, and those of {method.name!r} on "
            f"model {model.name!r} could not all be counted; give calls or seconds"
        )
    limit = equivalents * unit * (1 + 1e-9)
    return max(0, sum(1 for _ in takewhile(lambda work: work <= limit, spent)) - 1)


def _point(step: int, cost: Cost, candidate: Candidate, best: Candidate) -> TracePoint:
    return TracePoint(
        step,
        cost,
        None if candidate.score is None else tuple(candidate.score.tolist()),
        None if best.score is None else tuple(best.score.tolist()),
        {name: tuple(values.tolist()) for name, values in candidate.info.items()},
    )
