"""Whether our own numbers agree with those that a paper prints.

    d₀   printed: the method's mean less that of what it is set against
    d    ours: the mean of paired differences, with its interval I at level 1 − .05/m, m being all that is compared

    "differs"                     d₀ lies outside I
    "agrees"                      d₀ lies in I, and 0 does not
    "cannot tell at this size"    both lie in I, or there is no interval

    r₀   printed, of papers that print winning rates: on which share of the prompts the method is above
    r    ours, of the prompts that are no ties, with Wilson's interval at the same level; .5 takes the place of 0

Where a paper prints the mean of k categories' means, a prompt of a category of nᵢ counts N/(k·nᵢ) times, N = Σ nᵢ, on both
sides; nothing is said before all k are there.

The level is divided by m (Bonferroni), so that of a table on which nothing differs one in twenty says otherwise. Two means
are compared, not two scales: that the absolute numbers are alike too is for the reader to see, who finds both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import yaml

from noisekit import registry
from noisekit.evaluation.intervals import estimate
from noisekit.evaluation.statistics import STANDARD, grids, trimmed
from noisekit.evaluation.wins import wins
from noisekit.papers.tables import Table, read_model

if TYPE_CHECKING:
    from noisekit.results import Run

Verdict = Literal["agrees", "differs", "cannot tell at this size"]


@dataclass(frozen=True)
class Printed:
    """What a paper prints of one metric, in our scale.

    Args:
        model: its card.
        suite: of the prompts, a category of one, or with `mean_of` the name that its categories have in common.
        method: its name and the settings that tell it from others of that name.
        against: what the difference is to, likewise.
        metric: by our name.
        values: of what it is set against and of the method.
        rate: r₀; None where it is not printed.
        mean_of: k, where the mean of the categories is printed; 0 where it is that of the prompts.
    """

    model: str
    suite: str
    method: registry.Expression
    against: registry.Expression
    metric: str
    values: tuple[float, float]
    rate: float | None = None
    mean_of: int = 0

    @property
    def difference(self) -> float:
        """d₀."""
        return self.values[1] - self.values[0]


@dataclass(frozen=True)
class Agreement:
    """A printed pair beside ours.

    Args:
        printed: what the paper says.
        values: our means of what it is set against and of the method, over the prompts and seeds that have both.
        difference: d.
        low: the lower end of I.
        high: the upper end.
        verdict: what follows.
        rate: r with the lower and the upper end of its interval.
        rate_verdict: what follows for a printed rate; None where none is printed, or where prompts shared their noise.
    """

    printed: Printed
    values: tuple[float, float]
    difference: float
    low: float
    high: float
    verdict: Verdict
    rate: tuple[float, float, float]
    rate_verdict: Verdict | None


def agreements(table: Table, run: Run, models: Mapping[str, str] | None = None) -> list[Agreement]:
    """What a run of a table's plan says of the numbers that are printed there; nothing of those that it has no images for.

    Args:
        table: whose numbers.
        run: of its plan, or of a part of it.
        models: by the printed model the one that stood in for it (None: the plan's own).

    Returns:
        One for every printed number that can be set beside ours, in the paper's order.
    """
    pairs = list(_pairs(table, run, models or {}))
    rates = 0 if run.shared else sum(printed.rate is not None for printed, _ in pairs)
    level = 1 - 0.05 / max(1, len(pairs) + rates)
    return [_judged(printed, values, shared=run.shared, level=level) for printed, values in pairs]


def printed_in(table: Table) -> list[Printed]:
    """The numbers that a table prints and that are at hand."""
    return [one for row in _published()["rows"] if row.get("table") == table.name for one in _read(row)]


def verdict(printed: float, low: float, high: float, none: float = 0.0) -> Verdict:
    """The verdict on a printed difference, or rate, given the interval of ours; none: its value where nothing differs."""
    if not np.isfinite([low, high]).all() or (low <= none <= high and low <= printed <= high):
        return "cannot tell at this size"
    return "agrees" if low <= printed <= high else "differs"


def _judged(
    printed: Printed, values: tuple[np.ndarray, np.ndarray], *, shared: bool, level: float
) -> Agreement:
    against, method = values
    d = trimmed(method - against)
    found, won = estimate(d, shared=shared), wins(d)
    low, high = found.interval(level)
    rate = (won.rate, *(won.within(level) if not shared else (np.nan, np.nan)))
    known = printed.rate is not None and not shared
    both = ~np.isnan(method - against)
    means = float(against[both].mean()), float(method[both].mean())
    return Agreement(
        printed,
        means,
        found.mean,
        low,
        high,
        verdict(printed.difference, low, high),
        rate,
        verdict(printed.rate, *rate[1:], none=0.5) if known and printed.rate is not None else None,
    )


def _pairs(
    table: Table, run: Run, models: Mapping[str, str]
) -> Iterator[tuple[Printed, tuple[np.ndarray, np.ndarray]]]:
    frame = run.frame()
    for printed in printed_in(table):
        if printed.metric not in run.metrics:
            continue
        own = frame[[_is_of(label, models.get(printed.model, printed.model)) for label in frame["model"]]]
        if not models:
            own = own[_within(own["suite"], printed)]
        if printed.mean_of:
            own = _balanced(own, printed)
        found = grids(own, [printed.metric])
        method, against = (_only(found, wanted) for wanted in (printed.method, printed.against))
        if method is None or against is None or not trimmed((method - against)[..., 0]).size:
            continue
        yield printed, (against[..., 0], method[..., 0])


def _within(suites: pd.Series, printed: Printed) -> pd.Series:
    """Which rows are of the printed suite, or of one of its categories where their mean is printed."""
    return suites == printed.suite if not printed.mean_of else suites.str.partition(":")[0] == printed.suite


def _balanced(frame: pd.DataFrame, printed: Printed) -> pd.DataFrame:
    """The rows with scores such that every category weighs as much as any other; none where one is lacking."""
    per = frame.groupby("suite")["prompt"].nunique()
    if len(per) != printed.mean_of:
        return frame.iloc[:0]
    weight = per.sum() / (printed.mean_of * per)
    return frame.assign(**{printed.metric: frame[printed.metric] * frame["suite"].map(weight)})


def _is_of(label: str, model: str) -> bool:
    """Whether a run's label of a model is that of the printed one: the same name, and the settings that it names."""
    own, wanted = read_model(label), read_model(model)
    return own.name == wanted.name and wanted.settings.items() <= own.settings.items()


def _only(found: Mapping[str, np.ndarray], wanted: registry.Expression) -> np.ndarray | None:
    """The one method of a run that is the wanted one; None where there is none, or more than one."""
    fitting = []
    for method, values in found.items():
        own = registry.parse(method)
        if own.name == wanted.name and wanted.settings.items() <= own.settings.items():
            fitting.append(values)
    return fitting[0] if len(fitting) == 1 else None


def _read(row: Mapping[str, Any]) -> Iterator[Printed]:
    renamed = _published()["sources"][row["paper"]].get("metrics", {})
    for name, values in row["values"].items():
        about = {"metric": name, "suite": row.get("suite", "")} | renamed.get(name, {})
        if name in row.get("suspect", {}) or not about["suite"]:
            continue
        scale = float(row.get("scale", {}).get(name, "× 1").rpartition("×")[2])
        yield Printed(
            row["card"],
            about["suite"],
            registry.parse(row.get("run", row["method"])),
            registry.parse(row.get("run_against", STANDARD)),
            about["metric"],
            (values[0] / scale, values[1] / scale),
            row.get("rates", {}).get(name),
            about.get("mean_of", 0),
        )


@cache
def _published() -> Mapping[str, Any]:
    text = (files("noisekit.report") / "published.yaml").read_text(encoding="utf-8")
    table: Mapping[str, Any] = yaml.safe_load(text)
    return table
