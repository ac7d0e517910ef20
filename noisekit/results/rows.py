"""The columns of a run's tables, and which rows of its store they show.

A store may hold more than is shown. When a model's weights or a method's version have changed since, tables show the newest
only: of each model, and of each method on it, the images of the identity that was asked for last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from noisekit.hashing import digest
from noisekit.store.columns import Form
from noisekit.store.lines import Row
from noisekit.store.store import Store
from noisekit.types import COUNTED, Arm

#: Columns of `Run.frame`: before the metrics, and two groups after them.
ABOUT = ["model", "method", "prompt", "prompt_id", "kind", "unseen", "suite", "categories", "seed", "image"]
BUDGET = [name for name in Arm("").columns if name != "method"]
ARM = ["model_name", "expression", *BUDGET]
CALLS = [f"calls_{network}" for network in COUNTED]
SPENT = ["calls", *CALLS, "flops", "equivalents", "seconds", "batch", "peak_memory", "preparation"]
FOUND = ["stopped", "noise_norm", "noise_cosine", "noise_distance", "noise_kurtosis"]
UNCOUNTED = [*CALLS, "preparation"]
#: What is read of a row; see `store.columns`.
FORMS: Mapping[str, Form] = {
    **dict.fromkeys(("id", "image"), "key"),
    **dict.fromkeys(("setting", "model_id", "model", "model_name", "method", "prompt", "prompt_id"), "text"),
    **dict.fromkeys(("kind", "suite", "objective", "stopped"), "text"),
    **dict.fromkeys((*SPENT, *FOUND[1:], *BUDGET), "number"),
    **dict.fromkeys(("unseen", "categories", "seed", "batch", "optimised"), "json"),
}
#: Columns that every trace has.
TRACED = ["model", "method", "prompt", "seed", "step", "calls", "seconds", "score", "best"]
#: Columns of `Run.failures`.
FAILED = ["model", "method", "suite", "prompt", "seed", "metric", "reason", "attempt", "setting", "id"]


def shown_rows(store: Store) -> tuple[pd.DataFrame, dict[str, Arm]]:
    """One row an image that is shown, and the arms by the names that the column method has for them."""
    rows, arms = _by_arm(store.columns("rows", FORMS))
    models, settings = _asked(store.lines("settings"))
    rows = _newest(rows, ["model"], "model_id", models)
    rows = _newest(rows, ["model", "method"], "setting", settings)
    return _distinct(last_of(rows, ["id"])), arms


def unresolved(store: Store) -> pd.DataFrame:
    """What went wrong and has not been mended since, with the reason and number of the last attempt.

    One row an image and metric (None: the image could not be made).
    """
    last = {(row["id"], row["metric"]): row for row in store.lines("failures")}
    if not last:
        return pd.DataFrame(columns=FAILED)
    mended = {(row["id"], None) for row in store.lines("rows") if store.has(row["image"])}
    mended |= {(row["id"], row["metric"]) for row in store.lines("scores")}
    return pd.DataFrame([row for key, row in last.items() if key not in mended], columns=FAILED)


def records(table: pd.DataFrame) -> list[Row]:
    """The rows of a table as mappings."""
    return cast(list[Row], table.to_dict("records"))


def _distinct(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows in which a text that came with several control images is several prompts: everything is paired by the text."""
    if rows["prompt_id"].nunique() <= rows["prompt"].nunique():
        return rows
    several = rows["prompt"][rows.duplicated(["model", "method", "prompt", "seed"])].unique()
    text = rows["prompt"].astype(object)
    return rows.assign(
        prompt=text.where(~text.isin(several), text + " · " + rows["prompt_id"].astype(object))
    )


def _by_arm(rows: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Arm]]:
    """Rows whose method is the arm as it prints, and the arms by that."""
    each = rows[["method", *BUDGET]].drop_duplicates()
    arms = [Arm.read(row) for row in records(each)]
    names = each.assign(arm=[str(arm) for arm in arms])
    named = rows.merge(names, on=["method", *BUDGET], how="left")["arm"]
    bare = rows["model_name"].fillna(rows["model"])
    named_rows = rows.assign(method=named.to_numpy(), expression=rows["method"], model_name=bare)
    return named_rows, {str(arm): arm for arm in arms}


#: By the names of a group, the identity that was asked for last.
Asked = Mapping[tuple[str, ...], str]


def _asked(settings: Sequence[Row]) -> tuple[Asked, Asked]:
    """Of every model, and of every method on it, the one that was asked for last."""
    models: dict[tuple[str, ...], str] = {}
    methods: dict[tuple[str, ...], str] = {}
    for row in settings:
        methods[row["model"], str(Arm.read(row))] = row["setting"]
        models[row["model"],] = digest(row["fields"]["model"])
    return models, methods


def _newest(rows: pd.DataFrame, group: list[str], identity: str, asked: Asked) -> pd.DataFrame:
    """Of each group the rows that share the identity last asked for, or that of its last row where it has none of that."""
    number = rows.groupby(group, sort=False, dropna=False).ngroup().to_numpy()
    last = rows[identity].to_numpy()[_places(number)]
    first = rows[group].iloc[np.unique(number, return_index=True)[1]].itertuples(index=False, name=None)
    wanted = np.array([asked.get(key, own) for key, own in zip(first, last, strict=True)], dtype=object)
    there = np.zeros(len(last), dtype=bool)
    own = rows[identity].to_numpy()
    there[number[own == wanted[number]]] = True
    kept = own == np.where(there, wanted, last)[number]
    return rows if kept.all() else rows[kept].reset_index(drop=True)


def last_of(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Of each group the last row, in the order of their first ones."""
    number = rows.groupby(keys, sort=False, dropna=False).ngroup().to_numpy()
    return rows.take(_places(number)).reset_index(drop=True)


def _places(number: NDArray[np.integer]) -> NDArray[np.int64]:
    """Where each of the numbers 0, 1, … stands last."""
    places = np.zeros(number.max(initial=-1) + 1, dtype=np.int64)
    np.maximum.at(places, number, np.arange(len(number)))
    return places
