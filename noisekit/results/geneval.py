"""GenEval's own table of a run: the share of right images task by task, and the mean of the tasks, for each arm."""

from __future__ import annotations

import pandas as pd

from noisekit.errors import BadValue
from noisekit.metrics.geneval.captions import record
from noisekit.metrics.geneval.rules import summary
from noisekit.results.run import Run


def task_scores(run: Run) -> pd.DataFrame:
    """One row per (model, method): images and prompts (with any image right), each task by its tag, and `overall`.

    Raises:
        BadValue: The run was not scored by geneval, or no prompt of it has a record.
    """
    frame = run.frame()
    if "geneval" not in frame:
        raise BadValue(
            f"run {str(run.folder)!r} was not scored by geneval; run it again with geneval among its metrics"
        )
    tags = {prompt: _tag(run, prompt) for prompt in frame["prompt"].unique()}
    rows = []
    for (model, method), own in frame.groupby(["model", "method"], sort=False):
        results = zip(own["prompt"].map(tags), own["prompt"], own["geneval"], strict=True)
        found = summary(results)
        about = {"model": model, "method": method, "images": found.images, "prompts": found.prompts}
        rows.append(about | dict(found.tasks) | {"overall": found.overall})
    return pd.DataFrame(rows)


def _tag(run: Run, prompt: str) -> str:
    """The task of a prompt, by its record or, in the tiny world, by its caption."""
    tag = run.metadata.get(prompt, {}).get("tag")
    caption = record(prompt)
    return str(tag or (caption.tag if caption else ""))
