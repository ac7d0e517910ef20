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
from noisekit.evaluation import diversity
from noisekit.evaluation.metric import MetricInfo, preference
from noisekit.evaluation.noise_analysis import NoiseAnalysis, noise_analysis
from noisekit.evaluation.statistics import STANDARD, correlations, summary
from noisekit.experiment.store import Row, Store
from noisekit.types import COUNTED

#: Columns of `Run.frame`: before the metrics, and two groups after them.
ABOUT = ["model", "method", "prompt", "prompt_id", "kind", "unseen", "seed", "image"]
SPENT = ["calls", *(f"calls_{network}" for network in COUNTED), "seconds"]
FOUND = ["stopped", "noise_norm", "noise_cosine", "noise_distance", "noise_kurtosis"]
#: What a row lacks that was written before a kind of network was counted, since there was none to call.
UNCALLED = {f"calls_{network}": 0.0 for network in COUNTED}
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
        self._noises = {row["id"]: row for row in store.lines("noises") if row["id"] in self._rows}
        self._metrics = {row["metric_id"]: MetricInfo.read(row) for row in store.lines("metrics")}
        self._diversity = self._measured(store.lines("diversity"))

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
    def metric_info(self) -> Mapping[str, MetricInfo]:
        """What each metric is: definition, weights, backbone, range, direction and tie, in the order of `metrics`."""
        last = {row["metric"]: row for row in self._scores}
        return {name: self._metrics.get(row["metric_id"]) or _unrecorded(row) for name, row in last.items()}

    def frame(self) -> pd.DataFrame:
        """One row an image: what it is of, one column a metric (NaN where not scored), calls and seconds.

        A pairwise metric's column is the preference over the standard image, and its score is in <metric>_score. `image`
        is the path relative to the run's folder; `noise_norm`, `_kurtosis` (excess), and `_cosine` and `_distance` to the
        initial noise are those of the noise found.
        """
        return self._frame.copy()

    @cached_property
    def _frame(self) -> pd.DataFrame:
        scores: dict[str, Row] = {}
        for row in self._scores:
            scores.setdefault(row["id"], {}).update(row["values"])
        columns = list(dict.fromkeys(column for row in self._scores for column in row["values"]))
        names = [*ABOUT, *columns, *SPENT, *FOUND]
        rows = [UNCALLED | row | scores.get(key, {}) for key, row in self._rows.items()]
        table = pd.DataFrame(rows, columns=names)
        table[[*columns, *SPENT, *FOUND[1:]]] = table[[*columns, *SPENT, *FOUND[1:]]].astype(float)
        for info in self._pairwise:
            over_standard = preference(table[info.raw], _of_standard(table, table, info.raw))
            table.insert(table.columns.get_loc(info.raw), info.name, over_standard)  # type: ignore[arg-type]
        first_seen = [pd.factorize(table[name])[0] for name in ("model", "method", "prompt")]
        return table.iloc[np.lexsort([table["seed"].to_numpy(), *reversed(first_seen)])].reset_index(
            drop=True
        )

    @property
    def _pairwise(self) -> list[MetricInfo]:
        return [info for info in self.metric_info.values() if info.pairwise]

    def traces(self) -> pd.DataFrame:
        """One row per (image, candidate) of the search: the cost so far, the score, the best score so far.

        Beside `TRACED` stand the method's own figures, and metric_<name> of the best image so far, as in `frame`: at some
        candidates of methods that decode images on the way, NaN elsewhere.
        """
        return self._traced.copy()

    @cached_property
    def _traced(self) -> pd.DataFrame:
        heads = {key: {name: row[name] for name in TRACED[:4]} for key, row in self._rows.items()}
        points = [heads[key] | point for key, trace in self._traces.items() for point in trace]
        table = pd.DataFrame(points) if points else pd.DataFrame(columns=TRACED)
        for info in self._pairwise:
            if f"metric_{info.raw}" in table:
                standard = _of_standard(self._frame, table, info.raw)
                table[f"metric_{info.name}"] = preference(table[f"metric_{info.raw}"], standard)
        return table

    def summary(self) -> pd.DataFrame:
        """One row per (model, method): means, paired differences with intervals, wins, cost; see `statistics.summary`."""
        return self._summary.copy()

    @cached_property
    def _summary(self) -> pd.DataFrame:
        if not self._rows:
            raise BadValue(
                f"run {str(self.folder)!r} holds no images yet; run `noisekit compare` on it first"
            )
        ties = {name: info.tie for name, info in self.metric_info.items()}
        return summary(self._frame, self.metrics, ties, self.shared)

    def correlations(self) -> pd.DataFrame:
        """Rank correlation of the metrics over all images, within prompts; pairwise ones by their score.

        See `statistics.correlations`. Index and columns are the metrics.
        """
        raw = {info.raw: name for name, info in self.metric_info.items()}
        return correlations(self._frame, list(raw)).rename(index=raw, columns=raw)

    def diversity(self) -> pd.DataFrame:
        """One row per (model, method, prompt) with two seeds or more: how far its images are apart, 0 … 2.

        Columns: model, method, prompt, seeds (how many), diversity, difference (to standard on the same seeds); see
        `evaluation.diversity`. Empty where it was not measured.
        """
        return self._diversity.copy()

    def diversity_summary(self) -> pd.DataFrame:
        """One row per (model, method): n_prompts, seeds, diversity, diversity_difference, _low, _high (95 %)."""
        return diversity.summary(self._diversity)

    def _measured(self, lines: Iterable[Row]) -> pd.DataFrame:
        """The newest measurement of each setting and prompt, by the newest embedding."""
        about = {(row["setting"], row["prompt_id"]): row for row in self._rows.values()}
        newest = _newest(lines, lambda row: "embedding", lambda row: row["embedding_id"])
        last = {(row["setting"], row["prompt_id"]): row for row in newest}
        return diversity.diversity(about[key] | row for key, row in last.items() if key in about)

    def noise_analysis(self) -> NoiseAnalysis:
        """Spectrum and coherence over frequency, and singular vectors' similarity, per (model, method).

        Of the images whose noises were recorded, which stores written before that lack.
        """
        return noise_analysis(self._rows[key] | row for key, row in self._noises.items())

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


def _unrecorded(score: Row) -> MetricInfo:
    """What is known of a metric in a store that was written before metrics were recorded: its name and its tie."""
    return MetricInfo(
        name=score["metric"], version="", weights="", family="", low=np.nan, high=np.nan, tie=score["tie"]
    )


def _of_standard(frame: pd.DataFrame, table: pd.DataFrame, column: str) -> pd.Series:
    """For each row of `table` the value of a frame's column on standard's image of the same model, prompt and seed."""
    keys = ["model", "prompt", "seed"]
    standard = frame.loc[frame["method"] == STANDARD].set_index(keys)[column]
    return standard.reindex(pd.MultiIndex.from_frame(table[keys])).set_axis(table.index)


def _newest(
    rows: Iterable[Row], group: Callable[[Row], Hashable], identity: Callable[[Row], Any]
) -> list[Row]:
    """Of each group the rows that share the identity of its last one."""
    listed = list(rows)
    last = {group(row): identity(row) for row in listed}
    return [row for row in listed if identity(row) == last[group(row)]]
