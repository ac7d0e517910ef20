"""A run: what a store holds, as tables.

A store may hold more than is shown. When a model's weights, a method's version or a metric's weights have changed since,
tables show the newest only: for each model the images of its last identity, and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from noisekit.errors import BadValue
from noisekit.evaluation.statistics import summary
from noisekit.experiment.store import Row, Store
from noisekit.types import COUNTED

#: Columns of `Run.frame`: before the metrics, and two groups after them.
ABOUT = ["model", "method", "prompt", "prompt_id", "kind", "unseen", "seed", "image"]
SPENT = ["calls", *(f"calls_{network}" for network in COUNTED), "seconds"]
FOUND = ["stopped", "noise_norm", "noise_cosine"]
#: Columns that every trace has.
TRACED = ["model", "method", "prompt", "seed", "step", "calls", "seconds", "score", "best"]


class Run:
    """The images, scores and traces of a store as they are now. Tables are made once and then kept."""

    def __init__(self, store: Store) -> None:
        self.folder, self.manifest = store.folder, store.manifest
        rows = _newest(store.lines("rows"), lambda row: row["model"], lambda row: row["model_id"])
        rows = _newest(rows, lambda row: (row["model"], row["method"]), lambda row: row["setting"])
        self._rows = {row["id"]: row for row in rows}
        scores = _newest(store.lines("scores"), lambda row: row["metric"], lambda row: row["metric_id"])
        self._scores = [row for row in scores if row["id"] in self._rows]
        self._traces = {row["id"]: row["points"] for row in store.lines("traces") if row["id"] in self._rows}

    def __len__(self) -> int:
        """The number of images."""
        return len(self._rows)

    @property
    def shared(self) -> bool:
        """Whether all prompts had the same noises."""
        return bool(self.manifest["noise"] == "shared")

    @cached_property
    def metrics(self) -> list[str]:
        """The metrics in the order in which they were first scored."""
        return list(dict.fromkeys(row["metric"] for row in self._scores))

    @cached_property
    def ties(self) -> Mapping[str, float]:
        """For each metric the largest difference that is a tie."""
        return {row["metric"]: row["tie"] for row in self._scores}

    def frame(self) -> pd.DataFrame:
        """One row an image: what it is of, one column a metric (NaN where not scored), calls and seconds.

        `image` is the path relative to the run's folder; `noise_norm` and `noise_cosine` compare the noise found with
        the initial one.
        """
        return self._frame.copy()

    @cached_property
    def _frame(self) -> pd.DataFrame:
        scores: dict[str, Row] = {}
        for row in self._scores:
            scores.setdefault(row["id"], {}).update(row["values"])
        columns = list(dict.fromkeys(column for row in self._scores for column in row["values"]))
        names = [*ABOUT, *columns, *SPENT, *FOUND]
        table = pd.DataFrame([row | scores.get(key, {}) for key, row in self._rows.items()], columns=names)
        table[[*columns, *SPENT, *FOUND[1:]]] = table[[*columns, *SPENT, *FOUND[1:]]].astype(float)
        first_seen = [pd.factorize(table[name])[0] for name in ("model", "method", "prompt")]
        return table.iloc[np.lexsort([table["seed"].to_numpy(), *reversed(first_seen)])].reset_index(
            drop=True
        )

    def traces(self) -> pd.DataFrame:
        """One row per (image, candidate) of the search: the cost so far, the score, the best score so far.

        Beside `TRACED` stand the method's own figures, and metric_<name> of the best image so far: at some candidates
        of methods that decode images on the way, NaN elsewhere.
        """
        heads = {key: {name: row[name] for name in TRACED[:4]} for key, row in self._rows.items()}
        points = [heads[key] | point for key, trace in self._traces.items() for point in trace]
        return pd.DataFrame(points) if points else pd.DataFrame(columns=TRACED)

    def summary(self) -> pd.DataFrame:
        """One row per (model, method): means, paired differences with intervals, wins, cost; see `statistics.summary`."""
        if not self._rows:
            raise BadValue(
                f"run {str(self.folder)!r} holds no images yet; run `noisekit compare` on it first"
            )
        return summary(self._frame, self.metrics, self.ties, self.shared)

    def optimised(self, method: str) -> frozenset[str]:
        """The metrics that a method maximised; they are no evidence for it."""
        return frozenset(name for row in self._of(method) for name in row["optimised"])

    def objective(self, method: str) -> str:
        """What the scores in a method's trace mean."""
        return str(self._of(method)[0]["objective"])

    def _of(self, method: str) -> list[Row]:
        rows = [row for row in self._rows.values() if row["method"] == method]
        if not rows:
            known = dict.fromkeys(row["method"] for row in self._rows.values())
            raise BadValue(f"run {str(self.folder)!r} has no method {method!r} (it has: {', '.join(known)})")
        return rows

    def report(self) -> Path:
        """Write report.html into the run's folder."""
        from noisekit.report import write_report

        path = self.folder / "report.html"
        write_report(self, path)
        return path


def load_run(folder: str | Path) -> Run:
    """The run in a folder; raises `BadValue` where there is none."""
    return Run(Store.read(folder))


def _newest(
    rows: Iterable[Row], group: Callable[[Row], Hashable], identity: Callable[[Row], Any]
) -> list[Row]:
    """Of each group the rows that share the identity of its last one."""
    listed = list(rows)
    last = {group(row): identity(row) for row in listed}
    return [row for row in listed if identity(row) == last[group(row)]]
