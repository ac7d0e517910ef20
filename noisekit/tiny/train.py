"""The one training loop of all stages: AdamW, a learning rate that rises and falls, an average of the
weights, resumable.

With s the step out of S, the rate is  η · min(1, s / warm-up) · min(1, (1 − s/S) / decay),  and the average
that is kept is ē ← μ ē + (1 − μ) w  with  μ = min(.998, s / (s + 20)).  Batch s of worker r depends on (seed,
r, s) alone, so that a stage that was killed goes on with the batches it would have seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from noisekit.pickles import read_pickle, write_pickle
from noisekit.tiny.workers import AVERAGE_EVERY, Crew

SAVE_EVERY = 60.0  # seconds
WARM_UP = 100  # steps


def generator(*key: int) -> torch.Generator:
    """A random number generator of its own for each key."""
    state = 0
    for part in key:
        state = (state * 1_000_003 + part + 1) % (2**63)
    return torch.Generator().manual_seed(state)


def fit(
    crew: Crew,
    parameters: Sequence[torch.nn.Parameter],
    loss: Callable[[torch.Generator], tuple[torch.Tensor, float]],
    *,
    steps: int,
    rate: float,
    seed: int,
    state: Path,
    title: str,
    decay: float = 0.6,
) -> None:
    """Trains for ``steps`` steps and leaves the averaged weights in ``parameters``.

    loss: returns the loss of a batch drawn with the given generator, and a figure to show. state: the
    checkpoint, from which a second call goes on.
    """
    parameters = [p for p in parameters if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01, betas=(0.9, 0.98), fused=True)
    mean = [p.detach().clone() for p in parameters]
    first = 0
    if state.exists():
        saved = read_pickle(state)
        first = saved["step"]
        optimiser.load_state_dict(saved["optimiser"])
        with torch.no_grad():
            for source, targets in ((saved["parameters"], parameters), (saved["mean"], mean)):
                for kept, target in zip(source, targets, strict=True):
                    target.copy_(kept)
    crew.wait()  # nobody writes a checkpoint before everybody has read it

    shown, last_saved = None, time.monotonic()
    bar = tqdm(range(first, steps), title, initial=first, total=steps, disable=not crew.leads, mininterval=10)
    for step in bar:
        slope = min(1.0, (step + 1) / WARM_UP) * min(1.0, (1 - step / steps) / decay)
        optimiser.param_groups[0]["lr"] = rate * slope
        value, figure = loss(generator(seed, crew.rank, step))
        optimiser.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        momentum = min(0.998, (step + 1) / (step + 21))
        torch._foreach_lerp_(mean, [p.detach() for p in parameters], 1 - momentum)
        shown = figure if shown is None else 0.98 * shown + 0.02 * figure
        if (step + 1) % AVERAGE_EVERY == 0:
            crew.average(parameters)
            bar.set_postfix_str(f"{shown:.4f}", refresh=False)
            if crew.leads and time.monotonic() - last_saved > SAVE_EVERY:
                _save(state, step + 1, optimiser, parameters, mean)
                last_saved = time.monotonic()
    crew.average(parameters)
    crew.average(mean)
    if crew.leads and first < steps:
        _save(state, steps, optimiser, parameters, mean)
    with torch.no_grad():
        for parameter, average in zip(parameters, mean, strict=True):
            parameter.copy_(average)


def _save(
    path: Path,
    step: int,
    optimiser: torch.optim.Optimizer,
    parameters: Sequence[torch.Tensor],
    mean: Sequence[torch.Tensor],
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = [p.detach() for p in parameters]
    write_pickle(
        {"step": step, "optimiser": optimiser.state_dict(), "parameters": plain, "mean": list(mean)}, path
    )
