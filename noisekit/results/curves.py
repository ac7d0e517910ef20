"""Quality against cost: every setting that a run can say something about, each with what an image costs there.

    arm      = a method on a model, as it was run, or ended at one of its checkpoints
    seconds  = Σ over networks of calibrated seconds per evaluation × counted evaluations        see `calibration`

A search that was watched (`noisekit.engine.watch`) gives one arm a checkpoint, so that one run of 50 candidates also
says what 1, 2, 5, 10 and 20 bring; it is called as under that budget, "best_of(n=50) @ 10 candidates". Annealed methods have
no checkpoints: they are run once a budget, `budget: [{calls: 64}, {calls: 128}]`, and each run is an arm.
"""

from __future__ import annotations

import re

import pandas as pd

from noisekit.results.run import CALLS, SPENT, Run
from noisekit.types import Budget

KEYS = ["model", "method", "prompt", "seed"]

_LIMIT = re.compile(r"(?P<number>[\d.e+-]+)(?P<unit>s| calls| candidates)")


def curves(run: Run) -> pd.DataFrame:
    """`Run.frame`, and below it the images of all checkpoints as those of arms of their own.

    Columns: model, method (the arm), search (the method that was run), prompt, seed, the metrics by their own scores (of
    pairwise ones <metric>_score), `SPENT`. A store that is older than the counts of a checkpoint shares out those of the
    whole search by calls, which is exact where all candidates cost alike.
    """
    metrics = [info.raw for info in run.metric_info.values()]
    whole = run.frame().reindex(columns=[*KEYS, *metrics, *SPENT])
    whole.insert(2, "search", whole["method"])
    points = _checkpoints(run.traces(), metrics)
    if points.empty:
        return whole
    points = points.merge(whole[[*KEYS, *SPENT]], on=KEYS, suffixes=("", "_whole"))
    points["calls"] = points.groupby(["model", "method", "step"])["calls"].transform("min")
    for count in CALLS:
        shared_out = points[f"{count}_whole"] * points["calls"] / points["calls_whole"]
        points[count] = points[count].fillna(shared_out)
    points["calls"] = points["calls_denoiser"] + 2 * points["calls_denoiser_backward"]
    points["seconds"] *= points["calls"] / points["calls_whole"]
    points["search"] = points["method"]
    points["method"] = [
        f"{method}{', ' if ' @ ' in method else ' @ '}{step + 1} candidates"
        for method, step in zip(points["method"], points["step"], strict=True)
    ]
    # A budget may have been run as well as read off a curve; then the run stands for both.
    known = pd.MultiIndex.from_frame(whole[["model", "method"]])
    fresh = ~pd.MultiIndex.from_frame(points[["model", "method"]]).isin(known)
    return pd.concat([whole, points[fresh].reindex(columns=whole.columns)], ignore_index=True)


def _checkpoints(traces: pd.DataFrame, metrics: list[str]) -> pd.DataFrame:
    """The scored candidates of all traces but the last of each, whose image is the search's own."""
    scored = {f"metric_{name}": name for name in metrics if f"metric_{name}" in traces}
    if not scored:
        return pd.DataFrame()
    last = traces.groupby(KEYS)["step"].transform("max")
    at = traces[traces[list(scored)].notna().any(axis=1) & (traces["step"] < last)]
    counts = at.reindex(columns=CALLS)
    return pd.concat([at[[*KEYS, "step", "calls", *scored]].rename(columns=scored), counts], axis=1)


def arms(table: pd.DataFrame) -> pd.DataFrame:
    """One row per (model, method) of `curves`: search, images, and `SPENT` per image (of memory the most)."""
    how = dict.fromkeys(SPENT, "mean") | {"peak_memory": "max"}
    groups = table.groupby(["model", "method"], sort=False)
    costs = groups.agg({"search": "first", "prompt": "size"} | how)
    return costs.rename(columns={"prompt": "images"}).reset_index()


def budget_of(label: str) -> tuple[str, Budget]:
    """The method and the budget that the label of an arm names: "reno(steps=50) @ 20 calls"."""
    method, _, limits = label.partition(" @ ")
    units = {"s": "seconds", " calls": "calls", " candidates": "candidates"}
    given = {units[found["unit"]]: float(found["number"]) for found in _LIMIT.finditer(limits)}
    candidates = given.pop("candidates", None)
    return method, Budget(**given, candidates=None if candidates is None else int(candidates))
