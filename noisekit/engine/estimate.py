"""How long the missing images of a plan will take, from what the store has measured.

    seconds of an image = median of the same setting's images, else
                          calls expected × median seconds per call of the same model's images, else unknown

Seconds are per image in batches as they were run, so the estimate is for the machine that wrote the store.
"""

from __future__ import annotations

import pandas as pd

from noisekit.engine.job import Job
from noisekit.hashing import digest


class Pace:
    """What images of each setting took, and calls of each model: from rows with setting, model_id, calls and seconds."""

    def __init__(self, rows: pd.DataFrame) -> None:
        timed = rows[rows["calls"] > 0]
        per_call = (timed["seconds"] / timed["calls"]).astype(float)
        self.images = rows["seconds"].astype(float).groupby(rows["setting"]).median().to_dict()
        self.calls = per_call.groupby(timed["model_id"]).median().to_dict()

    def seconds(self, job: Job) -> float | None:
        """Seconds of one image of a job; None where neither it nor its model has been timed."""
        if job.setting in self.images:
            return float(self.images[job.setting])
        per_call = self.calls.get(digest(job.identity))
        if per_call is None:
            return job.budget.seconds
        limits = [job.calls * per_call, job.budget.seconds]
        return min(seconds for seconds in limits if seconds is not None)
