"""What a search would have brought for less: its quality at its checkpoints, against what an image costs there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from noisekit.report.source import ReportedRun

#: (calls, denoiser equivalents, seconds, mean of the metric) at each checkpoint and at the end, from cheap to dear.
Path = Sequence[tuple[float, float, float, float]]


def paths(run: ReportedRun) -> Mapping[tuple[str, str, str], Path]:
    """By model, search and metric; searches that nobody watched are left out, and pairwise metrics, which have no level."""
    table = run.curves()
    metrics = [name for name, info in run.metric_info.items() if not info.pairwise and name in table]
    found: dict[tuple[str, str, str], Path] = {}
    for (model, search), own in table.groupby(["model", "search"], sort=False):
        for metric in metrics:
            scored = own.dropna(subset=[metric])
            if scored["method"].nunique() > 1:
                found[str(model), str(search), metric] = _path(scored, metric)
    return found


def _path(scored: pd.DataFrame, metric: str) -> Path:
    columns = ["calls", "equivalents", "seconds", metric]
    means = scored.reindex(columns=["method", *columns]).groupby("method").mean().sort_values("calls")
    return [(calls, worth, seconds, mean) for calls, worth, seconds, mean in means.to_numpy(float)]
