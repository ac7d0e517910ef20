"""The best candidate so far of every sample, and what is no number.

    best_i ← candidate_i where score_i > score(best_i)        (the newest, when a method has no score)

Half precision overflows above 65,504, and one NaN in a gradient spoils every later noise of its sample. A sample whose
candidate is not finite in noise, image or score keeps the best it had; the others go on. The noises that a stochastic
sampler injects are a part of the noise: where a search chooses them, they come and go with it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from noisekit.noise import per_sample
from noisekit.types import Candidate


def better(best: Candidate, new: Candidate) -> Candidate:
    """Per sample the candidate with the higher score; what is not finite never wins, and any score beats none."""
    wins = ~torch.stack([broken for _, broken in parts(new)]).any(0)
    if new.score is not None and best.score is not None:
        wins &= (new.score > best.score) | best.score.isnan()
    return chosen(wins, new, best)


def chosen(wins: Tensor, new: Candidate, best: Candidate) -> Candidate:
    """Per sample the new candidate where it wins (B,), with all that belongs to its noise; figures are the new one's."""
    score = new.score
    if new.score is not None:
        score = torch.where(wins, new.score, torch.nan if best.score is None else best.score)
    injected = None
    if new.injected is not None and best.injected is not None:
        injected = torch.where(per_sample(wins, new.injected), new.injected, best.injected)
    elif new.injected is not None or best.injected is not None:
        raise ValueError("one of two candidates brings injected noises and the other none")
    images = None
    if new.images is not None and best.images is not None:
        images = torch.where(per_sample(wins, new.images), new.images, best.images)
    elif wins.all():
        images = new.images
    noise = torch.where(per_sample(wins, new.noise), new.noise, best.noise)
    return Candidate(noise, score, images, new.info, injected)


def elites(values: Tensor, scores: Tensor, number: int) -> Tensor:
    """Per sample the `number` best of n values (n, B, …) by their scores (n, B), the best first; NaN comes last."""
    finite = scores.nan_to_num(-torch.inf, torch.inf, -torch.inf)
    ranked = torch.sort(finite, dim=0, descending=True, stable=True).indices
    order = ranked[:number].view(-1, scores.shape[1], *[1] * (values.dim() - 2))
    return values.gather(0, order.expand(-1, -1, *values.shape[2:]))


def parts(candidate: Candidate) -> list[tuple[str, Tensor]]:
    """The parts of a candidate that decide whether it can be used, each with the samples (B,) where it is not finite."""
    given = {
        "noise": candidate.noise,
        "injected noise": candidate.injected,
        "image": candidate.images,
        "score": candidate.score,
    }
    return [(name, _broken(values)) for name, values in given.items() if values is not None]


def not_finite(candidate: Candidate) -> dict[int, str]:
    """By sample the first thing that is not finite: a part, or a figure of the method's own, such as "gradient"."""
    found: dict[int, str] = {}
    own = [(name, _broken(values)) for name, values in candidate.info.items()]
    for name, broken in [*parts(candidate), *own]:
        for sample in broken.nonzero().flatten().tolist():
            found.setdefault(sample, name)
    return found


def describe_not_finite(
    method: str, found: dict[int, tuple[int, str]], prompts: Sequence[str], seeds: Sequence[int]
) -> str:
    """What a person reads of `not_finite`, given by sample as candidate and figure."""
    some = [
        f"{name} of candidate {step} for {prompts[i][:60]!r}, seed {seeds[i]}"
        for i, (step, name) in list(found.items())[:3]
    ]
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return (
        f"{method}: values that are not finite, in {'; '.join(some)}{more}; the best finite noise before is kept. Half "
        "precision may have overflowed: try dtype bfloat16 or float32, or a smaller step"
    )


def _broken(values: Tensor) -> Tensor:
    return ~torch.isfinite(values.detach()).flatten(1).all(1) if values.dim() > 1 else ~torch.isfinite(values)
