"""What went wrong and has not been mended since: images that could not be made, or not be scored by some metric."""

from __future__ import annotations

import pandas as pd

from noisekit.store.store import Store

COLUMNS = ["model", "method", "suite", "prompt", "seed", "metric", "reason", "attempt", "setting", "id"]


def unresolved(store: Store) -> pd.DataFrame:
    """One row an image and metric (None: the image could not be made), with the reason and number of the last attempt."""
    last = {(row["id"], row["metric"]): row for row in store.lines("failures")}
    if not last:
        return pd.DataFrame(columns=COLUMNS)
    mended = {(row["id"], None) for row in store.lines("rows") if store.has(row["image"])}
    mended |= {(row["id"], row["metric"]) for row in store.lines("scores")}
    return pd.DataFrame([row for key, row in last.items() if key not in mended], columns=COLUMNS)
