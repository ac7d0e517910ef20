"""Quality against cost: every setting that a run can say something about, each with what an image costs there.

    arm      = a method on a model, as it was run, or ended at one of its checkpoints
    seconds  = Σ over networks of calibrated seconds per evaluation × counted evaluations        see `calibration`

A search that was watched (`noisekit.engine.checkpoints`) gives one arm a checkpoint, so that one run of 50 candidates also
says what 1, 2, 5, 10 and 20 bring; it counts as the search under that budget. Annealed methods have
no checkpoints: they are run once a budget, `budget: [{calls: 64}, {calls: 128}]`, and each run is an arm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from noisekit.results.rows import BUDGET, CALLS, SPENT
from noisekit.types import Arm

KEYS = ["model", "method", "prompt", "seed"]


def curves(
    frame: pd.DataFrame, traces: pd.DataFrame, metrics: list[str], arms: Mapping[str, Arm]
) -> pd.DataFrame:
    """`Run.frame`, and below it the images of all checkpoints as those of arms of their own.

    Columns: model, model_name (without its settings), method (the arm), search (the arm that was run),
    expression (its method without a budget), `BUDGET`, checkpoint (the candidate that a search was
    ended at, NaN for whole ones), prompt, seed, the metrics by their own scores (of pairwise ones
    <metric>_score), `SPENT`.

    Args:
        frame: The images, as `Run.frame` gives them.
        traces: The searches, as `Run.traces` gives them.
        metrics: Columns of the metrics' own scores.
        arms: By the names in the frame.
    """
    whole = frame.reindex(columns=[*KEYS, "model_name", *metrics, *SPENT])
    whole.insert(2, "search", whole["method"])
    points = _checkpoints(traces, metrics)
    if points.empty:
        return _described(whole.assign(checkpoint=math.nan), arms)
    points = points.merge(whole[[*KEYS, "model_name", *SPENT]], on=KEYS, suffixes=("", "_whole"))
    points[CALLS] = points[CALLS].fillna(0.0)
    points["calls"] = points["calls_denoiser"] + 2 * points["calls_denoiser_backward"]
    points["seconds"] *= points["calls"] / points["calls_whole"]
    points["flops"] = points["equivalents"] * points["flops_whole"] / points["equivalents_whole"]
    points["search"], points["checkpoint"] = points["method"], points["step"] + 1
    ended = {
        (search, count): ended_at(arms[search], count)
        for search, count in points[["search", "checkpoint"]].drop_duplicates().itertuples(index=False)
    }
    points["method"] = [str(ended[key]) for key in zip(points["search"], points["checkpoint"], strict=True)]
    # A budget may have been run as well as read off a curve; then the run stands for both.
    known = pd.MultiIndex.from_frame(whole[["model", "method"]])
    fresh = ~pd.MultiIndex.from_frame(points[["model", "method"]]).isin(known)
    columns = [*whole.columns, "checkpoint"]
    table = pd.concat([whole, points[fresh].reindex(columns=columns)], ignore_index=True)
    return _described(table, {**arms, **{str(arm): arm for arm in ended.values()}})


def ended_at(arm: Arm, count: int) -> Arm:
    """A search that is read off at its `count`-th candidate."""
    return replace(arm, budget=replace(arm.budget, candidates=int(count)))


def _described(table: pd.DataFrame, arms: Mapping[str, Arm]) -> pd.DataFrame:
    """A table by arm, with what each of them is."""
    about = pd.DataFrame({name: arm.columns for name, arm in arms.items()}).T.rename(
        columns={"method": "expression"}
    )
    return table.join(about, on="method")


def _checkpoints(traces: pd.DataFrame, metrics: list[str]) -> pd.DataFrame:
    """The scored candidates of all traces but the last of each, whose image is the search's own."""
    scored = {f"metric_{name}": name for name in metrics if f"metric_{name}" in traces}
    if not scored:
        return pd.DataFrame()
    last = traces.groupby(KEYS)["step"].transform("max")
    at = traces[traces[list(scored)].notna().any(axis=1) & (traces["step"] < last)]
    counts = at.reindex(columns=[*CALLS, "flops", "equivalents"])
    return pd.concat([at[[*KEYS, "step", "calls", *scored]].rename(columns=scored), counts], axis=1)


def costs(table: pd.DataFrame) -> pd.DataFrame:
    """One row per (model, method) of `curves`: what the arm is, images, and `SPENT` per image (of memory the most)."""
    how = dict.fromkeys(SPENT, "mean") | {"peak_memory": "max"}
    groups = table.groupby(["model", "method"], sort=False)
    spent = groups.agg(
        dict.fromkeys(("search", "model_name", "expression", *BUDGET), "first") | {"prompt": "size"} | how
    )
    return spent.rename(columns={"prompt": "images"}).reset_index()
