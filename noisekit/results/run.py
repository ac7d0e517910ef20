"""A run: what a store holds, as tables. Of what was made or scored anew they show the newest only; see `rows`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from noisekit.errors import BadValue, unknown
from noisekit.evaluation import diversity
from noisekit.evaluation.bradley_terry import bradley_terry
from noisekit.evaluation.categories import by_category
from noisekit.evaluation.comparisons import comparisons
from noisekit.evaluation.equivalence import equivalences
from noisekit.evaluation.held_out import held_out, in_hand, published_backbone
from noisekit.evaluation.noise_analysis import NoiseAnalysis, noise_analysis
from noisekit.evaluation.statistics import STANDARD, correlations, summary
from noisekit.evaluation.wins import duels
from noisekit.metrics.info import MetricInfo, preference
from noisekit.paths import given_path
from noisekit.results.curves import curves
from noisekit.results.export import write_table
from noisekit.results.rows import (
    ABOUT,
    ARM,
    FOUND,
    SPENT,
    TRACED,
    UNCOUNTED,
    last_of,
    records,
    shown_rows,
    unresolved,
)
from noisekit.store.lines import Row
from noisekit.store.store import Kind, Store
from noisekit.vote.votes import Votes

if TYPE_CHECKING:
    from torch import Tensor


class Run:
    """The images, scores and traces of a store as they are now. Tables are made once and then kept."""

    def __init__(self, store: Store) -> None:
        self.folder, self.manifest, self._store = store.folder, store.manifest, store
        self._rows, self.arms = shown_rows(store)
        self._scores = store.scores(self._rows["id"].tolist())
        self._metrics = {row["metric_id"]: MetricInfo.read(row) for row in store.lines("metrics")}
        self._check_scores()

    def _check_scores(self) -> None:
        """Raise `BadValue` where scores have no column, or one of another meaning."""
        figures = set(self._scores.values)
        lacking = [name for name, info in self.metric_info.items() if info.raw not in figures]
        for name in (*lacking, *figures.intersection((*ABOUT, *SPENT, *FOUND, *ARM))):
            raise BadValue(
                f"store {str(self.folder)!r} has scores {name!r} without a column of their own; take these lines out "
                "of its folder scores to go on"
            )

    def __len__(self) -> int:
        """The number of images."""
        return len(self._rows)

    @property
    def shared(self) -> bool:
        """Whether all prompts had the same noises."""
        return bool(self.manifest["noise"] != "per_prompt")

    @property
    def metrics(self) -> list[str]:
        """The metrics in the order in which they were first scored."""
        return self._scores.metrics["metric"].tolist()

    @cached_property
    def metric_info(self) -> Mapping[str, MetricInfo]:
        """What each metric is: definition, weights, backbone, range, direction and tie, in the order of `metrics`."""
        found = {}
        for row in records(self._scores.metrics):
            info = self._metrics.get(row["metric_id"])
            if info is None or info.name != row["metric"]:
                raise BadValue(
                    f"store {str(self.folder)!r} has scores {row['metric']!r} and does not say what they are; take these "
                    "lines out of its folder scores to go on"
                )
            found[row["metric"]] = info
        return found

    @property
    def metric_ids(self) -> Mapping[str, str]:
        """The hash of each metric and its weights."""
        scored = self._scores.metrics
        return dict(zip(scored["metric"], scored["metric_id"], strict=True))

    def frame(self) -> pd.DataFrame:
        """One row an image: what it is of, one column a metric (NaN where not scored), calls and seconds.

        `model` is the model as it prints, `model_name` its name without settings; `method` is the method
        with its budget as it prints, `expression` the method alone; budget_seconds, _calls and _candidates
        are the limits. A pairwise metric's column is the preference over the standard image, and its score
        is in <metric>_score. `image` is the path relative to the run's folder; `preparation` counts the
        calls that a method spent before its first image; `noise_norm`, `_kurtosis` (excess), and `_cosine`
        and `_distance` to the initial noise are those of the noise found.
        """
        return self._frame.copy()

    @cached_property
    def _frame(self) -> pd.DataFrame:
        table = pd.concat(
            [self._rows[ABOUT], self._scores.values, self._rows[[*SPENT, *FOUND, *ARM]]], axis=1
        )
        # Nothing was called, or prepared, where nobody counted it.
        table[UNCOUNTED] = table[UNCOUNTED].fillna(0.0)
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
        points = [about | point for about, row in self._recorded("traces") for point in row["points"]]
        table = pd.DataFrame(points) if points else pd.DataFrame(columns=TRACED)
        for info in self._pairwise:
            if f"metric_{info.raw}" in table:
                standard = _of_standard(self._frame, table, info.raw)
                table[f"metric_{info.name}"] = preference(table[f"metric_{info.raw}"], standard)
        return table

    def calibrations(self) -> list[Row]:
        """What was measured of the seconds of each network, oldest first; see `noisekit.results.calibration`."""
        return self._store.lines("calibrations")

    def summary(self) -> pd.DataFrame:
        """One row per (model, method): means, paired differences with intervals, wins, cost; see `statistics.summary`."""
        return self._summary.copy()

    @cached_property
    def _summary(self) -> pd.DataFrame:
        if self._rows.empty:
            failed = self.failures()
            raise BadValue(
                f"run {str(self.folder)!r} holds no images, as all {len(failed)} failed, the first because: "
                f"{failed['reason'].iloc[0]}"
                if len(failed)
                else f"run {str(self.folder)!r} holds no images yet; run `noisekit compare` on it first"
            )
        return summary(self._frame, self.metrics, self._ties, self.shared)

    @property
    def _ties(self) -> dict[str, float]:
        return {name: info.tie for name, info in self.metric_info.items()}

    def tests(self) -> pd.DataFrame:
        """One row per (model, suite, method, metric): is the difference to standard more than chance, alone and after Holm?

        Also how often it wins, and how small a difference could have been found; see `evaluation.comparisons`.
        """
        return self._tests.copy()

    @cached_property
    def _tests(self) -> pd.DataFrame:
        return comparisons(self._frame, self.metrics, self._ties, self.shared, self.optimised)

    def equivalences(self, margins: Mapping[str, float], against: str = STANDARD) -> pd.DataFrame:
        """One row per (model, suite, method, metric): is the method as good as `against`, within the margin of the metric?

        See `evaluation.equivalence`: p is of a difference as large as the margin, p_holm after Holm, `as_good` at 5 %.

        Args:
            margins: by metric, the difference from which on it would matter.
            against: the method that others are as good as.
        """
        table = self._frame
        if against not in table["method"].to_numpy():
            raise unknown("method", against, table["method"].unique())
        known = {self._known(metric): margin for metric, margin in margins.items()}
        return equivalences(table, known, against, self.shared, self.optimised)

    def wins(self, metric: str) -> pd.DataFrame:
        """One row per (model, method, other): on how many prompts a method beats another; see `evaluation.wins`."""
        return duels(self._frame, self._known(metric), self._ties[metric], self.shared)

    def bradley_terry(self, *metrics: str) -> pd.DataFrame:
        """One row per (model, method), by strength over some metrics (default: those that no method optimised).

        See `evaluation.bradley_terry`. Models with fewer than three methods are left out.
        """
        tables = []
        for model, own in self._frame.groupby("model", sort=False):
            fair = held_out(self.metrics, map(self.optimised, own["method"].unique()))
            judges = [self._known(one) for one in metrics] or fair
            table = bradley_terry(own, judges, self._ties, self.shared)
            table.insert(0, "model", model)
            tables.append(table)
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()

    def by_category(self) -> pd.DataFrame:
        """The summary suite by suite and category by category, without the cost; see `evaluation.categories`."""
        return by_category(self._frame, self.metrics, self._ties, self.shared)

    def _known(self, metric: str) -> str:
        if metric not in self.metrics:
            raise unknown("metric", metric, self.metrics)
        return metric

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
        return diversity.summary(self._distances, self.shared)

    @cached_property
    def _diversity(self) -> pd.DataFrame:
        return diversity.diversity(self._distances)

    @cached_property
    def _distances(self) -> list[Row]:
        """The newest measurement of each setting and prompt, by the newest embedding."""
        keys = ["setting", "prompt_id"]
        shown = records(last_of(self._rows, keys)[[*keys, *TRACED[:3]]])
        about = {(row["setting"], row["prompt_id"]): row for row in shown}
        lines = self._store.lines("diversity")
        last = {
            (row["setting"], row["prompt_id"]): row
            for row in lines
            if row["embedding_id"] == lines[-1]["embedding_id"]
        }
        return [about[key] | row for key, row in last.items() if key in about]

    def votes(self) -> Votes:
        """What people said of pairs of images (`noisekit vote`), and what it says of methods, voters and metrics."""
        return Votes(self._store.lines("votes"), self._frame, self._ties, self.shared)

    def noise_analysis(self) -> NoiseAnalysis:
        """Spectrum and coherence over frequency, and singular vectors' similarity, per (model, method).

        Of the images whose noises were recorded.
        """
        return noise_analysis(about | row for about, row in self._recorded("noises"))

    def _recorded(self, kind: Kind) -> list[tuple[Row, Row]]:
        """Model, method, prompt and seed of each image beside its line of another kind."""
        images = {row.pop("id"): row for row in records(self._rows[["id", *TRACED[:4]]])}
        lines = {row["id"]: row for row in self._store.lines(kind) if row["id"] in images}
        return [(images[key], row) for key, row in lines.items()]

    def curves(self) -> pd.DataFrame:
        """The frame, and below it searches ended at their checkpoints, as arms of their own; see `results.curves`."""
        metrics = [info.raw for info in self.metric_info.values()]
        return curves(self._frame, self._traced, metrics, self.arms)

    def settings(self) -> dict[tuple[str, str], Row]:
        """By model and method every resolved value that decides its images."""
        shown = self._rows[["model", "method", "setting"]].drop_duplicates().itertuples(index=False)
        fields = {row["setting"]: row["fields"] for row in self._store.lines("settings")}
        return {(model, method): fields[key] for model, method, key in shown if key in fields}

    def failures(self) -> pd.DataFrame:
        """One row an image that could not be made, or not be scored by a metric, and why; see `rows.unresolved`."""
        return unresolved(self._store)

    def optimised(self, method: str) -> frozenset[str]:
        """The metrics that a method had a hand in: it maximised them, or others of their weights or backbone.

        They are no evidence for it; see `evaluation.held_out`.
        """
        climbed = frozenset(name for names in self._of(method)["optimised"].unique() for name in names)
        return in_hand(self.metrics, climbed, self._backbone)

    def _backbone(self, metric: str) -> str:
        """As the run recorded it, or, of a reward that was climbed and scored nothing, as its published card has it."""
        info = self.metric_info.get(metric)
        return published_backbone(metric) if info is None else info.family.replace("none", "")

    def objective(self, method: str) -> str:
        """What the scores in a method's trace mean."""
        return str(self._of(method)["objective"].iloc[0])

    def _of(self, method: str) -> pd.DataFrame:
        rows = self._rows[self._rows["method"] == method]
        if rows.empty:
            known = ", ".join(self._rows["method"].unique())
            raise BadValue(f"run {str(self.folder)!r} has no method {method!r} (it has: {known})")
        return rows

    def image(self, name: str) -> Tensor:
        """An image (3, H, W) in [0, 1], by its path in the column "image" of `frame`."""
        return self._store.image(name)

    def noise(self, image: str) -> Tensor:
        """The noise (C, h, w) that an image was made from, by the image's path.

        Raises `BadValue` where it was not kept (`keep_noise: true`, `--keep-noise`).
        """
        return self._store.noise(Path(image).stem)

    def injected(self, image: str) -> Tensor | None:
        """The noises (n, C, h, w) that the sampler injected into an image, by its path, where its method chose them.

        None where it did not: the sampler draws them by itself. Raises `BadValue` where no noise was kept.
        """
        return self._store.injected(Path(image).stem)

    def export(self, path: str | Path, *, safe_csv: bool = False) -> Path:
        """Write `frame` as .parquet or .csv; lists become JSON text. Raises `BadValue` on other endings.

        safe_csv: put an apostrophe before texts that a spreadsheet would take for formulas.
        """
        return write_table(self._frame, path, safe_csv=safe_csv)

    def export_images(self, folder: str | Path, layout: str) -> Path:
        """Write the images as a benchmark's own scripts read them, "geneval" or "t2i_compbench"; see `results.layouts`."""
        from noisekit.results.layouts import write_layout

        return write_layout(self._frame, self.metadata, self.folder, layout, given_path(folder))

    @cached_property
    def metadata(self) -> Mapping[str, Row]:
        """By prompt, what its suite says besides the text."""
        return {row["prompt"]: row["metadata"] or {} for row in self._store.lines("rows")}


def load_run(folder: str | Path) -> Run:
    """The run in a folder; raises `BadValue` where there is none."""
    return Run(Store.read(folder))


def _of_standard(frame: pd.DataFrame, table: pd.DataFrame, column: str) -> pd.Series:
    """For each row of `table` the value of a frame's column on standard's image of the same model, prompt and seed."""
    keys = ["model", "prompt", "seed"]
    standard = frame.loc[frame["method"] == STANDARD].set_index(keys)[column]
    return standard.reindex(pd.MultiIndex.from_frame(table[keys])).set_axis(table.index)
