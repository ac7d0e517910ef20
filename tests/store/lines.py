"""Whole lines of a store, for tests that care for a few of their fields."""

from __future__ import annotations

from typing import Any


def image(key: str, **fields: Any) -> dict[str, Any]:
    """A row as an image has it, some fields of which are given."""
    about = dict.fromkeys(("setting", "model_id", "model", "prompt", "prompt_id"), "x")
    return {"id": key, **about, "method": "standard", "seed": 0, "image": f"images/{key}.png"} | fields


def score(key: str, metric: str, weights: str = "w", /, **values: float | None) -> dict[str, Any]:
    """A line of scores."""
    ids = {"id": key, "score_id": f"{key} {metric} {weights}"}
    return ids | {"metric": metric, "metric_id": weights, "values": values}


def metric(name: str, weights: str = "w", **fields: Any) -> dict[str, Any]:
    """A line that says what a metric is."""
    about = dict.fromkeys(("version", "family"), "x") | {
        "weights": "none",
        "low": 0.0,
        "high": 1.0,
        "tie": 0.0,
    }
    return {"metric_id": weights, "name": name, "direction": "higher", "pairwise": False} | about | fields
