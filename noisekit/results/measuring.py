"""Measuring what one evaluation of each network takes here; see `calibration` for what the figures mean."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count as counter
from itertools import cycle, islice
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from noisekit.cost import Meter
from noisekit.errors import NoisekitError
from noisekit.methods import NoiseMethod, load_method
from noisekit.methods.rewarded import Rewarded
from noisekit.models import Model, load_model
from noisekit.noise import NoiseSource
from noisekit.results.calibration import Calibration, Mode
from noisekit.results.rows import CALLS
from noisekit.results.run import Run
from noisekit.rewards import Precision, load_reward
from noisekit.store.manifest import hardware
from noisekit.store.store import Store

#: Seconds that all measurements of a run may take together, and the most repetitions of one.
ALLOWED = 30.0
REPEATS = 5
#: The most images of a batch that is timed.
MOST = 32
#: Sampler steps in which the denoiser is timed: enough to hold the scheduler's part.
STEPS = 2

_NUMBER = counter()


def calibrate(run: Run, models: Sequence[Model] = (), progress: bool = False) -> list[Calibration]:
    """Measure what the methods of a run call, on each of its models in both modes, and keep it in the run.

    models: those that `load_model` does not find by their names. Raises `BadValue` where one is not found or where the run's
    folder cannot be written.
    """
    with Store.prepare(run.folder, run.manifest["noise"]) as store:
        given = {model.name: model for model in models}
        frame = run.frame()
        names = list(frame["model_name"].unique())
        done: list[Calibration] = []
        for name in tqdm(names, desc="calibrating", unit="model", disable=not progress):
            own = frame[frame["model_name"] == name]
            model = given.get(name) or load_model(name)
            for mode in ("latency", "throughput"):
                found = _measured(model, own, mode, ALLOWED / len(names) / 2)
                store.append("calibrations", [asdict(found)])
                done.append(found)
        return done


def measured_scale(calibration: Calibration, model: Model | None = None) -> float:
    """How many times as long the denoiser takes on this machine as on that of a calibration; measured now, in seconds."""
    loaded = model or load_model(calibration.model)
    task = _sampling(loaded, ["a red circle"] * calibration.batch)
    return task.seconds(loaded, ALLOWED / 10) / calibration.seconds["denoiser"]


@dataclass(frozen=True)
class _Task:
    """What one network does to a batch: `run` of x, in whatever shape, evaluates `network` some times a sample."""

    network: str
    run: Callable[[Tensor], Tensor]
    x: Tensor

    def seconds(self, model: Model, allowed: float, backward: bool = False) -> float:
        """Seconds of an evaluation; of a forward and a backward one together where `backward`."""

        def forward() -> object:
            return self.run(self.x)

        def both() -> object:
            with torch.enable_grad():
                leaf = self.x.detach().requires_grad_()
                return torch.autograd.grad(self.run(leaf).sum(), leaf)

        return _least(both if backward else forward, model.device, allowed, self.network)


def _least(
    call: Callable[[], object], device: torch.device, allowed: float, network: str | None = None
) -> float:
    """Seconds of a call, divided by the evaluations of a network in it: the least of repetitions until the time is up."""
    taken, start = list[float](), time.perf_counter()
    for repetition in range(REPEATS + 1):
        with Meter(1, device) as meter:
            call()
            seconds = meter.seconds
        if repetition:  # the first one warms up
            taken.append(seconds / (meter.counts[network] if network else 1))
            if time.perf_counter() - start > allowed:
                break
    return min(taken)


@torch.no_grad()
def _measured(model: Model, frame: pd.DataFrame, mode: Mode, allowed: float) -> Calibration:
    batch = 1 if mode == "latency" else min(model.card.batch, MOST)
    called = {column.removeprefix("calls_") for column in CALLS if frame[column].sum() > 0}
    prompts = list(islice(cycle(dict.fromkeys(frame["prompt"])), batch))
    named = _resolved(frame["expression"].unique(), model)
    methods = [part for method in named for part in method.parts]
    tasks = {"denoiser": _sampling(model, prompts)}
    latents = tasks["denoiser"].run(tasks["denoiser"].x)
    tasks["decoder"] = _Task("decoder", model.decode, latents)
    images = model.decode(latents)
    for name, weights, dtype in {found for method in methods for found in _rewards(method)}:
        reward = load_reward(name, weights, model.device, dtype)
        tasks[f"reward {name}"] = _Task("reward", partial(reward, prompts=prompts), images)
    share = allowed / (2 * len(tasks) + len(called))
    seconds = {"encode": _least(_encoding(model, prompts), model.device, share) / batch}
    for name, task in tasks.items():
        seconds[name] = task.seconds(model, share)
        if f"{task.network}_backward" in called:
            both = task.seconds(model, share, backward=True)
            seconds[name.replace(task.network, f"{task.network}_backward", 1)] = max(
                0.0, both - seconds[name]
            )
    for method in methods:
        with suppress(NoisekitError):  # its artefact is elsewhere: another one's network does as well
            step = method.step_cost(model)
            if step.predictor and not step.denoiser:
                proposing = _proposing(method, model, prompts)
                seconds["predictor"] = _least(proposing, model.device, share, "predictor")
    return Calibration(model.name, mode, batch, hardware(), seconds)


def _sampling(model: Model, prompts: Sequence[str]) -> _Task:
    conditioning = model.encode(prompts)
    source = NoiseSource(model.noise_shape, prompts, range(len(prompts)), device=model.device)
    steps = min(STEPS, model.card.steps)

    def run(noise: Tensor) -> Tensor:
        return model.sample(noise, conditioning, source.sampler_generators(), steps)

    return _Task("denoiser", run, source.initial)


def _encoding(model: Model, prompts: Sequence[str]) -> Callable[[], object]:
    """Encodes prompts that no call had before, since a model keeps those that it knows."""
    return lambda: model.encode([f"{prompt} {next(_NUMBER)}" for prompt in prompts])


def _proposing(method: NoiseMethod, model: Model, prompts: Sequence[str]) -> Callable[[], object]:
    source = NoiseSource(model.noise_shape, prompts, range(len(prompts)), device=model.device)
    return lambda: next(method.search(model, prompts, source))


def _resolved(labels: Iterable[str], model: Model) -> Iterator[NoiseMethod]:
    """The methods of these labels; a third party's that is not installed here is passed over."""
    for label in labels:
        with suppress(NoisekitError):
            yield load_method(label).resolved(model)


def _rewards(method: NoiseMethod) -> list[tuple[str, Any, Precision]]:
    """The rewards that a method climbs, with their weights and number type."""
    if not isinstance(method, Rewarded):
        return []
    return [(name, method.weights, method.reward_dtype) for name in sorted(method.optimised)]
