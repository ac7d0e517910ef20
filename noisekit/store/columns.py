"""The lines of a store as columns: a million images with all their scores take seconds (benchmarks/store.py).

A column has one of four forms, by what its values are like:

    key      a text of its own on most lines
    text     one of a few texts; None where there is none
    json     one of a few JSON values, lists as tuples; None where there is none
    number   a float; NaN where there is none

Of a few values each is kept once, so that the prompts of a million images take eight bytes each.
"""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import attrgetter
from typing import Any, Literal

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from noisekit.store.schema import Line, ScoreLine

Form = Literal["key", "text", "json", "number"]

#: Lines that are turned into columns at once.
CHUNK = 256


@dataclass(frozen=True)
class Scores:
    """The scores of n images, of each metric those by the weights that were used last.

    values: n rows and one column a figure, NaN where an image was not scored. metrics: one row a metric (metric, metric_id)
    in the order in which they were first scored.
    """

    values: pd.DataFrame
    metrics: pd.DataFrame


def read(lines: Iterable[Line], forms: Mapping[str, Form]) -> pd.DataFrame:
    """Some fields of lines as columns, in the order of writing."""
    when = array("d")
    columns: dict[str, Any] = {name: array("d") if form == "number" else [] for name, form in forms.items()}
    kept: dict[str, dict[Any, Any]] = {name: {} for name in forms}
    rest = iter(lines)
    while chunk := list(islice(rest, CHUNK)):
        when.extend(map(attrgetter("created"), chunk))
        for name, form in forms.items():
            columns[name].extend(_formed(list(map(attrgetter(name), chunk)), form, kept[name]))
    order = np.argsort(np.asarray(when), kind="stable")
    table = {
        name: np.asarray(own) if forms[name] == "number" else pd.Series(own, dtype=object).infer_objects()
        for name, own in columns.items()
    }
    return pd.DataFrame(table).take(order).reset_index(drop=True)


def _formed(values: Sequence[Any], form: Form, kept: dict[Any, Any]) -> Iterable[Any]:
    """Values as a column of this form holds them; `kept` has those of the earlier lines."""
    if form == "number":
        return (math.nan if value is None else value for value in values) if None in values else values
    if form == "key":
        return values
    return map(kept.setdefault, values if form == "text" else map(msgspec.json.encode, values), values)


@dataclass
class _Weights:
    """What a metric with some weights says: of shown images since when, of any until when, and figures by column."""

    first: float = math.inf
    last: float = -math.inf
    places: defaultdict[str, array[int]] = field(default_factory=lambda: defaultdict(lambda: array("q")))
    figures: defaultdict[str, array[float]] = field(default_factory=lambda: defaultdict(lambda: array("d")))


def read_scores(lines: Iterable[ScoreLine], images: Sequence[str]) -> Scores:
    """The scores of the images with these ids, in their order."""
    places = {key: place for place, key in enumerate(images)}
    found: defaultdict[tuple[str, str], _Weights] = defaultdict(_Weights)
    for line in lines:
        own, created = found[line.metric, line.metric_id], line.created
        own.last = max(own.last, created)
        place = places.get(line.id)
        if place is None:
            continue
        own.first = min(own.first, created)
        for name, figure in line.values.items():
            own.places[name].append(place)
            own.figures[name].append(math.nan if figure is None else figure)
    newest = {key[0]: key for key in sorted(found, key=lambda key: found[key].last)}
    chosen = [key for key in found if newest[key[0]] == key and found[key].figures]
    shown = sorted(chosen, key=lambda key: found[key].first)  # of one moment in the order of their lines
    values: dict[str, NDArray[np.float64]] = {}
    for metric, by in shown:
        for name, figures in found[metric, by].figures.items():
            column = values.setdefault(name, np.full(len(images), np.nan))
            column[np.asarray(found[metric, by].places[name])] = figures
    return Scores(
        pd.DataFrame(values, index=range(len(images))),
        pd.DataFrame(shown, columns=["metric", "metric_id"]),
    )
