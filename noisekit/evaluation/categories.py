"""Where differences come from: paired differences with standard suite by suite and category by category.

A prompt counts in every category that it has. Intervals are for each cell by itself: of twenty, one leaves 0 out by chance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from noisekit.evaluation.comparisons import suites
from noisekit.evaluation.statistics import COST, summary


def by_category(
    frame: pd.DataFrame, metrics: Sequence[str], ties: Mapping[str, float] | None = None, shared: bool = False
) -> pd.DataFrame:
    """One row per (suite, category, model, method): the columns of `statistics.summary` without the cost.

    From a frame with one row an image and a column categories, of lists of names or of names by what they tell, or else
    kind; category is "" for a suite as a whole, the first of its rows. A category that holds a whole suite says nothing more
    and is left out.
    """
    tables = []
    for suite, own in suites(frame).items():
        named = categories(own)
        parts = {name: own[named.map(lambda names, name=name: name in names)] for name in _distinct(named)}
        parts = {name: part for name, part in parts.items() if len(part) < len(own)}
        for category, part in {"": own, **parts}.items():
            table = summary(part, metrics, ties, shared).drop(columns=COST, errors="ignore")
            table.insert(0, "suite", suite)
            table.insert(1, "category", category)
            tables.append(table)
    return pd.concat(tables, ignore_index=True)


def categories(frame: pd.DataFrame) -> pd.Series:
    """The categories of each row as a tuple of names: those of its prompt, or its kind."""
    column = "categories" if "categories" in frame and frame["categories"].notna().any() else "kind"
    if column not in frame:
        return pd.Series([()] * len(frame), index=frame.index, dtype=object)
    return frame[column].map(_names)


def _names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Mapping):  # what is told of a prompt, by what it is told about
        value = value.values()
    return tuple(map(str, value)) if isinstance(value, Iterable) else ()


def _distinct(named: pd.Series) -> list[str]:
    return list(dict.fromkeys(name for names in named for name in names))
