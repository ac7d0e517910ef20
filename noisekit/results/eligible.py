"""Which metrics may judge the arms of a run, and which arms they can judge.

A metric that some method of the model had a hand in judges none of them: those are left that are held out for all
(`noisekit.evaluation.held_out`). A metric that was added after a search was watched has
no figures of its checkpoints; asked for by name, it judges what it can, and else it is left out. People's votes judge where
they are asked for: no method climbs them, and checkpoints, which nobody saw, have none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from noisekit.errors import BadValue, unknown
from noisekit.evaluation.held_out import held_out
from noisekit.evaluation.statistics import STANDARD
from noisekit.metrics.info import MetricInfo, families
from noisekit.results.curves import KEYS
from noisekit.results.run import Run
from noisekit.vote.votes import VOTES

ARM = ["model", "method"]


@dataclass(frozen=True)
class Eligible:
    """Images of arms that all have all metrics. columns: of the metrics, by name. notes: what was left out."""

    table: pd.DataFrame
    columns: Mapping[str, str]
    notes: tuple[str, ...]


def eligible(
    run: Run, table: pd.DataFrame, metric: str | Sequence[str] | None = None, allow_optimised: bool = False
) -> Eligible:
    """Of `curves` on one model, by one metric, several, or (None) all that may judge.

    Raises `BadValue` on metrics that the run has not, and on those that are no evidence unless `allow_optimised`.
    """
    asked = [metric] if isinstance(metric, str) else list(metric or [])
    infos = dict(run.metric_info)
    if VOTES.name in asked and len(run.votes()):
        infos[VOTES.name], table = VOTES, _voted(run, table)
    for name in asked:
        if name not in infos:
            raise unknown(f"metric of run {str(run.folder)!r}:", name, infos)
    climbed = {name: search for search in table["search"].unique() for name in run.optimised(search)}
    fair = held_out(run.metrics, [climbed])
    for name in asked:
        if name in climbed and not allow_optimised:
            raise BadValue(
                f"metric {name!r} was optimised by {climbed[name]} and is no evidence for it; judge by "
                f"{', '.join(fair) or 'another one, to be scored first'}, or allow optimised metrics"
            )
    judges = asked or (run.metrics if allow_optimised else fair)
    if not judges:
        raise BadValue(
            f"every metric of run {str(run.folder)!r} was optimised by some method; score it by another one, or allow "
            "optimised metrics"
        )
    return _complete(run, table, {name: infos[name] for name in judges}, bool(asked))


def _voted(run: Run, table: pd.DataFrame) -> pd.DataFrame:
    """With a column of what votes on an image are worth on average, NaN where nobody saw it."""
    images = run.frame()[[*KEYS, "image"]]
    worth = images.assign(**{VOTES.name: images["image"].map(run.votes().of_images())})
    return table.merge(worth.drop(columns="image"), on=KEYS, how="left")


def _complete(run: Run, table: pd.DataFrame, judges: Mapping[str, MetricInfo], asked: bool) -> Eligible:
    """Leave out metrics that some arm lacks, unless they were asked for or none would be left; then leave out those arms."""
    columns = {name: info.raw for name, info in judges.items()}
    known = table[ARM].join(table[list(columns.values())].notna()).groupby(ARM, sort=False).any()
    lacking = [name for name, column in columns.items() if not known[column].all()]
    notes = [
        f"{', '.join(names)} share the backbone {family} and are no independent witnesses"
        for family, names in families(judges.values()).items()
    ]
    if VOTES.name in judges:
        notes.append(
            "intervals of votes are over prompts alone; `noisekit vote show` has them over voters too"
        )
    if lacking and not asked and len(lacking) < len(columns):
        notes.append(f"{', '.join(lacking)} judged some settings only, and are left out")
        columns = {name: column for name, column in columns.items() if name not in lacking}
    complete = known[list(columns.values())].all(axis=1)
    if not complete.all():
        notes.append(
            f"{int((~complete).sum())} settings were never judged by {', '.join(columns)}, and are left out"
        )
    kept = table[pd.MultiIndex.from_frame(table[ARM]).isin(complete.index[complete])]
    if not (kept["search"] == STANDARD).any():
        raise BadValue(
            f"no standard image in run {str(run.folder)!r} was scored by {', '.join(columns)}; score them first, or "
            "judge by another metric"
        )
    return Eligible(kept, columns, tuple(notes))
