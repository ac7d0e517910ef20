"""The method to use within a budget on a model that was measured before: the table that ships, read by `generate`.

    chosen(b) = the last of the model's rows whose budget is b at most; standard below the first

A row is the best by one metric among the arms of that many denoiser equivalents, by the rule of `evaluation.best`: of those
that are told from standard as better by intervals that hold for all arms at once, else standard. The table that ships,
results/frontier.json, was written by `python -m benchmarks.frontier --tell`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

from noisekit.errors import BadValue, CorruptWeights
from noisekit.evaluation.statistics import STANDARD
from noisekit.files import read_json, write_json
from noisekit.types import Budget

if TYPE_CHECKING:
    from noisekit.models.base import Model

#: What a user calls the method that the table chooses.
AUTO = "auto"

TABLE = Path(__file__).with_name("frontier.json")


@dataclass(frozen=True)
class Row:
    """What was chosen on a model within a budget.

    Args:
        budget: in denoiser equivalents, which `generate` searches within.
        method: that was chosen.
        equivalents: that its image took.
        metric: that judged.
        mean: of the metric.
        difference: to standard on the same prompts and seeds; 0 where that was chosen.
        low: the lower end of its 95 % interval, which holds for all arms within the budget at once.
        high: the upper end.
        shrunk: what of the difference to expect on new prompts.
        p: of the difference, after Holm over `family` comparisons; None for standard.
        family: see p.
        settings: arms that were compared within the budget.
        prompts: on which all of them were.
        seeds: of each.
    """

    budget: float
    method: str
    equivalents: float
    metric: str
    mean: float
    difference: float
    low: float
    high: float
    shrunk: float
    p: float | None
    family: int
    settings: int
    prompts: int
    seeds: int

    def __str__(self) -> str:
        of = f"{self.settings} settings within {self.budget:g} equivalents"
        compared = f"{of}, {self.prompts} prompts × {self.seeds} seeds"
        if self.method == STANDARD:
            return f"nothing is told from standard as better in {self.metric} ({compared})"
        p = "" if self.p is None else f", Holm's p {self.p:.2g} of {self.family}"
        return (
            f"{self.metric} {self.difference:+.3f} [{self.low:+.3f}, {self.high:+.3f}] over standard for "
            f"{self.equivalents:.3g} equivalents; expect {self.shrunk:+.3f} on new prompts ({compared}{p})"
        )


@dataclass(frozen=True)
class Automatic:
    """The method for a budget, and a sentence that says why."""

    method: str
    reason: str


def write_frontiers(found: Mapping[str, Sequence[Row]], path: Path) -> None:
    """Write the rows of all models, the smallest budget first."""
    write_json(path, {model: [asdict(one) for one in rows] for model, rows in found.items()})


@cache
def frontiers() -> Mapping[str, tuple[Row, ...]]:
    """The table that ships, by model."""
    with as_file(files("noisekit.results") / TABLE.name) as path:
        try:
            return {model: tuple(Row(**one) for one in rows) for model, rows in read_json(path).items()}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise CorruptWeights(
                f"{str(path)!r} is no table of frontiers ({error}); install noisekit again"
            ) from None


def automatic(model: Model, budget: Budget) -> Automatic:
    """The method for an image of a model within a budget of seconds or equivalents.

    Seconds become equivalents by the time that one standard image takes here, on this machine and now.

    Raises:
        BadValue: for a budget that has neither.
    """
    if budget.seconds is None and budget.equivalents is None:
        raise BadValue(f"method {AUTO!r} needs a budget; give seconds or equivalents, or name a method")
    rows = frontiers().get(model.label, ())
    if not rows:
        known = ", ".join(frontiers()) or "none"
        return Automatic(
            STANDARD,
            f"nothing was measured of {model.label!r} (known: {known}), so standard; `noisekit compare` and `noisekit pick` "
            "find what is worth its cost, and --method takes it",
        )
    limit = math.inf if budget.equivalents is None else budget.equivalents
    if budget.seconds is not None:
        limit = min(limit, budget.seconds / seconds_per_equivalent(model))
    within = [one for one in rows if one.budget <= limit * (1 + 1e-9)]
    if not within:
        return Automatic(
            STANDARD,
            f"{limit:.3g} equivalents are below the {rows[0].budget:g} of the least budget that was measured",
        )
    return Automatic(within[-1].method, f"within {limit:.3g} equivalents: {within[-1]}")


def seconds_per_equivalent(model: Model) -> float:
    """Of one image alone on this machine, by a standard one that is made and timed, after another that warms up."""
    from noisekit.methods import load_method
    from noisekit.methods.loop import FinalImage
    from noisekit.noise import NoiseSource

    source = NoiseSource(model.noise_shape, ["a red circle"], [0], device=model.device)
    calls = model.sample_cost().calls
    seconds = FinalImage(model, source).seconds_per_call(Budget(seconds=1)) * calls
    return seconds / (load_method(STANDARD).whole_work(model) / model.flops())
